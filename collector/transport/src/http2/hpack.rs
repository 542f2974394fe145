//! Header compression (RFC 7541): everything for decoding; encoding writes literals and keeps no table.

use std::borrow::Cow;

mod huffman;
mod table;

pub(crate) use table::{Field, Name};

use table::Dynamic;

/// Bytes of the dynamic table that a peer may use: the protocol's default.
const TABLE_BYTES: usize = 4096;

/// The block cannot be decoded, and with it the state of the connection is lost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undecodable;

/// Decodes the header blocks of one connection, in their order.
pub(crate) struct Decoder {
    table: Dynamic,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { table: Dynamic::new(TABLE_BYTES) }
    }
}

impl Decoder {
    /// Hands each field of `block` from `start` on, where a field begins, to `each`, with where it begins. True where
    /// the block has changed the table, so that the same bytes may mean something else the next time.
    pub(crate) fn decode(
        &mut self,
        block: &[u8],
        start: usize,
        mut each: impl FnMut(usize, &Field),
    ) -> Result<bool, Undecodable> {
        let mut input = Input(&block[start..]);
        let (mut changed, mut seen_field) = (false, start > 0);
        while let Some(&first) = input.0.first() {
            let at = block.len() - input.0.len();
            if first & 0x80 != 0 {
                let index = input.integer(7)?;
                each(at, self.table.get(index).ok_or(Undecodable)?);
            } else if first & 0xe0 == 0x20 {
                let size = input.integer(5)?;
                if seen_field || size > TABLE_BYTES {
                    return Err(Undecodable);
                }
                self.table.set_max_size(size);
                changed = true;
                continue;
            } else {
                let is_indexed = first & 0x40 != 0;
                let field = self.literal(&mut input, if is_indexed { 6 } else { 4 })?;
                each(at, &field);
                if is_indexed {
                    self.table.insert(field);
                    changed = true;
                }
            }
            seen_field = true;
        }
        Ok(changed)
    }

    fn literal(&self, input: &mut Input<'_>, prefix: u32) -> Result<Field, Undecodable> {
        match input.integer(prefix)? {
            0 => {
                let name = input.string()?;
                Ok(Field::new(&name, &input.string()?))
            }
            index => {
                let named = self.table.get(index).ok_or(Undecodable)?;
                Ok(named.with_value(&input.string()?))
            }
        }
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8, Undecodable> {
        let (first, rest) = self.0.split_first().ok_or(Undecodable)?;
        self.0 = rest;
        Ok(*first)
    }

    /// An integer whose first byte has `prefix` bits for it (section 5.1), below 2^28.
    fn integer(&mut self, prefix: u32) -> Result<usize, Undecodable> {
        let most = (1usize << prefix) - 1;
        let mut value = usize::from(self.byte()?) & most;
        if value < most {
            return Ok(value);
        }
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Undecodable)
    }

    fn string(&mut self) -> Result<Cow<'a, [u8]>, Undecodable> {
        let is_huffman = self.0.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.integer(7)?;
        let (coded, rest) = self.0.split_at_checked(length).ok_or(Undecodable)?;
        self.0 = rest;
        if !is_huffman {
            return Ok(Cow::Borrowed(coded));
        }
        let mut plain = Vec::with_capacity(coded.len() * 8 / 5 + 1);
        huffman::decode(coded, &mut plain).map_err(|_| Undecodable)?;
        Ok(Cow::Owned(plain))
    }
}

/// Writes a header block that needs no table: a status, then fields as literals.
pub(crate) struct Block(Vec<u8>);

impl Block {
    /// The block of a response.
    pub(crate) fn response(status: u16) -> Block {
        /// `:status: 200` in the static table.
        const STATUS_200: u8 = 0x88;
        /// A literal whose name is that entry's.
        const STATUS: u8 = 0x08;
        if status == 200 {
            return Block(vec![STATUS_200]);
        }
        let digits = |value: u16| b'0' + (value % 10) as u8;
        Block(vec![STATUS, 3, digits(status / 100), digits(status / 10), digits(status)])
    }

    /// The block of trailers.
    pub(crate) fn trailers() -> Block {
        Block(Vec::new())
    }

    /// Adds a field. The name is in lower case.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &[u8]) -> Block {
        self.0.push(0);
        self.string(name.as_bytes());
        self.string(value);
        self
    }

    fn string(&mut self, text: &[u8]) {
        /// What fits into the prefix of seven bits.
        const SHORT: usize = 0x7f;
        match u8::try_from(text.len()) {
            Ok(length) if usize::from(length) < SHORT => self.0.push(length),
            _ => {
                self.0.push(SHORT as u8);
                let mut rest = text.len() - SHORT;
                while rest >= 0x80 {
                    self.0.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                self.0.push(rest as u8);
            }
        }
        self.0.extend_from_slice(text);
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests;
