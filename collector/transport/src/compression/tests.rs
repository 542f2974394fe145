use super::*;

const COMPRESSED: [Encoding; 7] = [
    Encoding::Gzip,
    Encoding::Zstd,
    Encoding::Zlib,
    Encoding::Snappy,
    Encoding::Deflate,
    Encoding::Lz4,
    Encoding::SnappyFramed,
];

fn text(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| b"service.name=checkout;"[i % 22] ^ ((i / 97 % 3) as u8)).collect()
}

fn round(encoding: Encoding, pieces: &[Vec<u8>]) -> Vec<u8> {
    let payload: Payload = pieces.iter().map(|piece| Bytes::from(piece.clone())).collect();
    let compressed = Compressor::new(encoding, 0).compress(payload, &Budget::unlimited()).unwrap();
    compressed.pieces().flat_map(|piece| piece.to_vec()).collect()
}

fn plain(encoding: Encoding, body: &[u8], limit: usize, budget: &Budget) -> Result<Vec<u8>, DecodeError> {
    let mut charge = budget.try_charge(0).unwrap();
    let mut plain = Vec::new();
    let body = Bytes::copy_from_slice(body);
    decompress::decompress(encoding, &body, limit, &mut charge, &mut plain)?;
    decompress::trim(&mut plain, &mut charge);
    Ok(plain)
}

#[test]
fn every_encoding_survives_a_round_trip_twice_in_a_row() {
    let budget = Budget::unlimited();
    for encoding in COMPRESSED {
        for sizes in [&[0][..], &[1], &[100_000], &[70_000, 1, 300_000], &[5, 5]] {
            let pieces: Vec<_> = sizes.iter().map(|size| text(*size)).collect();
            let body = round(encoding, &pieces);
            let got = plain(encoding, &body, pieces.concat().len(), &budget);
            assert!(got.as_ref() == Ok(&pieces.concat()), "{encoding} {sizes:?}");
        }
    }
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_bomb_stops_at_the_limit_and_at_the_budget() {
    for encoding in COMPRESSED {
        let bomb = round(encoding, &[vec![0; 4 << 20]]);
        let budget = Budget::new(3 << 20);
        let limit = 1 << 20;
        assert_eq!(
            plain(encoding, &bomb, limit, &budget),
            Err(DecodeError::TooLarge { limit }),
            "{encoding}"
        );
        assert_eq!(plain(encoding, &bomb, 64 << 20, &budget), Err(DecodeError::Budget), "{encoding}");
        assert_eq!(budget.used(), 0, "{encoding}");
    }
}

#[test]
fn whatever_is_cut_or_changed_is_an_error_or_other_bytes_but_no_panic() {
    let budget = Budget::unlimited();
    for encoding in COMPRESSED {
        let body = round(encoding, &[text(3000)]);
        for end in 0..body.len() {
            if let Ok(got) = plain(encoding, &body[..end], 1 << 20, &budget) {
                assert!(got != text(3000) || end + 8 >= body.len(), "{encoding} cut at {end}");
            }
            let mut changed = body.clone();
            changed[end] ^= 0x55;
            let _ = plain(encoding, &changed, 1 << 20, &budget);
        }
    }
}

#[test]
fn gzip_members_are_joined_and_framed_snappy_is_recognised() {
    let budget = Budget::unlimited();
    let two = [round(Encoding::Gzip, &[text(10)]), round(Encoding::Gzip, &[text(20)])].concat();
    assert_eq!(plain(Encoding::Gzip, &two, 100, &budget).unwrap(), [text(10), text(20)].concat());
    let framed = round(Encoding::SnappyFramed, &[text(5000)]);
    assert_eq!(plain(Encoding::Snappy, &framed, 5000, &budget).unwrap(), text(5000));
}

#[test]
fn gzip_headers_with_every_field_are_read() {
    let body = round(Encoding::Gzip, &[text(50)]);
    let mut full = vec![0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 0, 0, 0, 0, 0, 0xff];
    full.extend_from_slice(b"\x03\0abcname\0comment\0\x12\x34");
    full.extend_from_slice(&body[10..]);
    assert_eq!(plain(Encoding::Gzip, &full, 100, &Budget::unlimited()).unwrap(), text(50));
}

#[tokio::test]
async fn large_bodies_take_the_way_around_the_runtime() {
    let mut seed = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    })
    .take(600_000)
    .collect();
    let budget = Budget::new(10 << 20);
    let body = Bytes::from(round(Encoding::Zstd, std::slice::from_ref(&noise)));
    assert!(body.len() > OFFLOAD_BYTES);
    let got = decode(Encoding::Zstd, body, 1 << 20, budget.try_charge(0).unwrap()).await.unwrap().0;
    assert!(got == noise);
    assert!(budget.used() >= 600_000);
    drop(got);
    assert_eq!(budget.used(), 0);
}
