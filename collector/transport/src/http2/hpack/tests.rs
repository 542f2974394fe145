use super::*;

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, Undecodable> {
    let mut fields = Vec::new();
    decoder.decode(block, 0, |_, field| {
        let name = match &field.name {
            Name::Regular(name) => name.to_string(),
            name => format!("{name:?}"),
        };
        let value = field.value.as_ref().map_or("?", |value| value.to_str().unwrap_or("?"));
        fields.push((name, value.to_owned()));
    })?;
    Ok(fields)
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// RFC 7541, appendix C.4: three requests on one connection, with Huffman coding.
#[test]
fn requests_of_the_rfc() {
    let mut decoder = Decoder::default();
    let first = [
        0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
    ];
    let common = [("Method", "GET"), ("Scheme", "http"), ("Path", "/"), ("Authority", "www.example.com")];
    assert_eq!(decode(&mut decoder, &first).unwrap(), pairs(&common));
    let second = [0x82, 0x86, 0x84, 0xbe, 0x58, 0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf];
    let expected = [&common[..], &[("cache-control", "no-cache")]].concat();
    assert_eq!(decode(&mut decoder, &second).unwrap(), pairs(&expected));
    let third = [
        0x82, 0x87, 0x85, 0xbf, 0x40, 0x88, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f, 0x89, 0x25, 0xa8,
        0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf,
    ];
    let expected = [
        ("Method", "GET"),
        ("Scheme", "https"),
        ("Path", "/index.html"),
        ("Authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ];
    assert_eq!(decode(&mut decoder, &third).unwrap(), pairs(&expected));
}

#[test]
fn entries_leave_when_the_table_is_full_or_made_smaller() {
    let mut decoder = Decoder::default();
    let literal = |name: &str, value: &str| {
        let mut block = vec![0x40, name.len() as u8];
        block.extend_from_slice(name.as_bytes());
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
        block
    };
    let newest = [0x80 | 62];
    assert_eq!(decode(&mut decoder, &newest), Err(Undecodable), "nothing there yet");
    decode(&mut decoder, &literal("a", "1")).unwrap();
    decode(&mut decoder, &literal("b", "2")).unwrap();
    assert_eq!(decode(&mut decoder, &newest).unwrap(), pairs(&[("b", "2")]));
    assert_eq!(decode(&mut decoder, &[0x80 | 63]).unwrap(), pairs(&[("a", "1")]));
    // 40 bytes: room for one of 34.
    assert_eq!(decode(&mut decoder, &[0x3f, 40 - 31, 0x80 | 62]).unwrap(), pairs(&[("b", "2")]));
    assert_eq!(decode(&mut decoder, &[0x80 | 63]), Err(Undecodable));
    decode(&mut decoder, &literal("much-too-large", "for that")).unwrap();
    assert_eq!(decode(&mut decoder, &newest), Err(Undecodable), "it has emptied the table");
    assert_eq!(decode(&mut decoder, &[0x3f, 0xe2, 0x1f]), Err(Undecodable), "4097 is more than allowed");
    assert_eq!(decode(&mut decoder, &[0x82, 0x20]), Err(Undecodable), "a size after a field");
}

#[test]
fn what_names_and_values_may_not_be_keeps_its_place() {
    let mut decoder = Decoder::default();
    let fields = decode(&mut decoder, b"\x40\x01A\x01x\x40\x01b\x01\n").unwrap();
    assert_eq!(fields, pairs(&[("Invalid", "x"), ("b", "?")]));
    assert_eq!(decode(&mut decoder, &[0x80 | 63, 0x80 | 62]).unwrap(), fields);
}

#[test]
fn broken_blocks_are_refused() {
    for block in [
        &[0x80][..],
        &[0xff],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x40],
        &[0x40, 5, b'a'],
        &[0x40, 0x81, 0x00, 0],
        &[0x7f, 0x80, 0x01, 0],
    ] {
        assert_eq!(decode(&mut Decoder::default(), block), Err(Undecodable), "{block:x?}");
    }
}

#[test]
fn own_blocks_say_what_was_put_in() {
    let long = "x".repeat(300);
    let block = Block::trailers().with("grpc-status", b"0").with("grpc-message", long.as_bytes());
    let fields = decode(&mut Decoder::default(), block.as_bytes()).unwrap();
    assert_eq!(fields, pairs(&[("grpc-status", "0"), ("grpc-message", &long)]));
    assert_eq!(Block::response(200).as_bytes(), [0x88]);
    assert_eq!(Block::response(415).as_bytes(), [0x08, 3, b'4', b'1', b'5']);
}
