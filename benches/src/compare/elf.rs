//! Tells whether a program is statically linked.

/// Whether an ELF file of 64 bits, little-endian, names no interpreter; `None` if it is something else.
pub(crate) fn is_static(file: &[u8]) -> Option<bool> {
    const INTERPRETER: u32 = 3;
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = usize::try_from(u64::from_le_bytes(file.get(32..40)?.try_into().ok()?)).ok()?;
    let entry_bytes = usize::from(u16::from_le_bytes(file.get(54..56)?.try_into().ok()?));
    let entries = usize::from(u16::from_le_bytes(file.get(56..58)?.try_into().ok()?));
    for entry in 0..entries {
        let at = table.checked_add(entry * entry_bytes)?;
        let kind = u32::from_le_bytes(file.get(at..at.checked_add(4)?)?.try_into().ok()?);
        if kind == INTERPRETER {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(kinds: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = kinds.len() as u8;
        for kind in kinds {
            file.extend(kind.to_le_bytes());
            file.extend([0; 52]);
        }
        file
    }

    #[test]
    fn an_interpreter_means_dynamic() {
        assert_eq!(is_static(&program(&[1, 2, 1])), Some(true));
        assert_eq!(is_static(&program(&[1, 3, 1])), Some(false));
        assert_eq!(is_static(&program(&[1, 3])[..70]), None);
        assert_eq!(is_static(b"#!/bin/sh"), None);
    }
}
