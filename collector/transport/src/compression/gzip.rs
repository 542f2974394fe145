//! The gzip container (RFC 1952) around a raw deflate stream, so that deflate contexts can be reset.

/// What a member begins with.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Bytes of the trailer: CRC-32 and length.
pub(super) const TRAILER_BYTES: usize = 8;

const HAS_CRC: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// What follows the header of a member, or what is wrong with the header.
pub(super) fn after_header(member: &[u8]) -> Result<&[u8], &'static str> {
    const SHORT: &str = "the header is cut short";
    let (fixed, mut rest) = member.split_first_chunk::<10>().ok_or(SHORT)?;
    if fixed[..2] != MAGIC {
        return Err("invalid header");
    }
    if fixed[2] != 8 {
        return Err("unknown compression method");
    }
    let flags = fixed[3];
    if flags & RESERVED != 0 {
        return Err("reserved flags are set");
    }
    if flags & HAS_EXTRA != 0 {
        let (length, after) = rest.split_first_chunk::<2>().ok_or(SHORT)?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..).ok_or(SHORT)?;
    }
    for text in [HAS_NAME, HAS_COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0).ok_or(SHORT)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & HAS_CRC != 0 {
        rest = rest.get(2..).ok_or(SHORT)?;
    }
    Ok(rest)
}

/// What the trailer says of the length of the plain bytes, modulo 4 GiB; of the last member, where there
/// are several.
pub(super) fn declared_length(body: &[u8]) -> Option<u32> {
    body.last_chunk::<4>().map(|length| u32::from_le_bytes(*length))
}
