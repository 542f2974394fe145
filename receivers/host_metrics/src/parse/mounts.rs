use std::borrow::Cow;

use super::{lines, words};

/// A mounted filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount<'a> {
    pub(crate) device: Cow<'a, [u8]>,
    pub(crate) path: Cow<'a, [u8]>,
    pub(crate) kind: &'a [u8],
    /// `rw`, `ro` or `unknown`.
    pub(crate) mode: &'static str,
    /// Major and minor number, for example `8:1`; nothing where they are not known.
    pub(crate) device_number: &'a [u8],
}

/// `mountinfo` of a process; lines that cannot be read are left out.
pub(crate) fn mounts(bytes: &[u8]) -> impl Iterator<Item = Mount<'_>> {
    lines(bytes).filter_map(|line| {
        let mut fields = words(line);
        let device_number = fields.nth(2)?;
        let path = fields.nth(1)?;
        let options = fields.next()?;
        // Optional fields end with a dash.
        let mut rest = fields.skip_while(|word| *word != b"-").skip(1);
        let (kind, device) = (rest.next()?, rest.next()?);
        Some(Mount {
            device: unescape(device),
            path: unescape(path),
            kind,
            mode: mode(options),
            device_number,
        })
    })
}

/// `mounts` of a process, on hosts without `mountinfo`.
pub(crate) fn plain_mounts(bytes: &[u8]) -> impl Iterator<Item = Mount<'_>> {
    lines(bytes).filter_map(|line| {
        let mut words = words(line);
        let (device, path) = (words.next()?, words.next()?);
        let (kind, options) = (words.next()?, words.next()?);
        Some(Mount {
            device: unescape(device),
            path: unescape(path),
            kind,
            mode: mode(options),
            device_number: b"",
        })
    })
}

/// The types in `/proc/filesystems` that have a device, and `zfs`.
pub(crate) fn filesystems(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(bytes).filter_map(|line| match line.strip_prefix(b"nodev") {
        Some(rest) => Some(rest.trim_ascii()).filter(|name| *name == b"zfs"),
        None => Some(line.trim_ascii()),
    })
}

fn mode(options: &[u8]) -> &'static str {
    let has = |word: &[u8]| options.split(|byte| *byte == b',').any(|option| option == word);
    match () {
        () if has(b"rw") => "rw",
        () if has(b"ro") => "ro",
        () => "unknown",
    }
}

/// Undoes `\040` and the like.
fn unescape(word: &[u8]) -> Cow<'_, [u8]> {
    if !word.contains(&b'\\') {
        return Cow::Borrowed(word);
    }
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        match escaped {
            Some(byte) => {
                out.push(byte);
                rest = &rest[4..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_with_spaces_and_optional_fields() {
        let text = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n24 1 0:22 / /with\\040space ro shared:7 master:3 - tmpfs none ro\n1 2 3\n5 6 7:0 / /odd nodev - xfs /dev/loop0\n";
        let found: Vec<Mount<'_>> = mounts(text).collect();
        let row = |mount: &Mount<'_>| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (text(&mount.device), text(&mount.path), text(mount.kind), mount.mode, text(mount.device_number))
        };
        let expected = [
            ("/dev/root", "/mnt2", "ext3", "rw", "98:0"),
            ("none", "/with space", "tmpfs", "ro", "0:22"),
            ("/dev/loop0", "/odd", "xfs", "unknown", "7:0"),
        ];
        assert_eq!(found.len(), expected.len());
        for (found, (device, path, kind, mode, number)) in found.iter().zip(expected) {
            assert_eq!(row(found), (device.into(), path.into(), kind.into(), mode, number.into()));
        }
        let plain: Vec<Mount<'_>> = plain_mounts(b"/dev/sda1 / ext4 rw,relatime 0 0\nodd\n").collect();
        assert_eq!((plain.len(), plain[0].mode), (1, "rw"));
    }

    #[test]
    fn types_with_a_device_and_zfs_count() {
        let found: Vec<&[u8]> = filesystems(b"nodev\tsysfs\n\text4\nnodev\tzfs\n\txfs\n").collect();
        assert_eq!(found, [&b"ext4"[..], b"zfs", b"xfs"]);
    }
}
