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

/// Formats that say where they end: anything less is an error. (A framed snappy stream may end after any of
/// its chunks.)
#[test]
fn what_is_cut_short_is_refused() {
    let budget = Budget::unlimited();
    for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Zlib, Encoding::Snappy, Encoding::Lz4] {
        let body = round(encoding, &[text(700_000)]);
        let ends = (1..body.len().min(200)).chain(body.len().saturating_sub(200)..body.len());
        for end in ends.chain((1..body.len()).step_by(97)) {
            let got = plain(encoding, &body[..end], 1 << 20, &budget);
            assert!(
                matches!(got, Err(DecodeError::Corrupt { .. })),
                "{encoding} cut at {end} of {}",
                body.len()
            );
        }
    }
}

#[test]
fn frames_that_follow_each_other_are_all_read() {
    let budget = Budget::unlimited();
    for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Lz4, Encoding::SnappyFramed] {
        let bodies = [text(10), text(300_000), Vec::new(), text(20)];
        let joined = bodies.iter().flat_map(|body| round(encoding, std::slice::from_ref(body)));
        let joined: Vec<u8> = joined.collect();
        assert!(plain(encoding, &joined, 1 << 20, &budget).as_ref() == Ok(&bodies.concat()), "{encoding}");
        let trailing = [&joined[..], b"garbage"].concat();
        assert!(plain(encoding, &trailing, 1 << 20, &budget).is_err(), "{encoding} with a tail");
    }
    // Go's reader stops where the stream ends.
    let trailing = [round(Encoding::Zlib, &[text(10)]), b"garbage".to_vec()].concat();
    assert_eq!(plain(Encoding::Zlib, &trailing, 100, &budget).unwrap(), text(10));
    for encoding in [Encoding::Zstd, Encoding::Lz4, Encoding::SnappyFramed] {
        assert_eq!(plain(encoding, b"", 100, &budget).unwrap(), b"", "{encoding}: nothing is no frame");
    }
}

#[test]
fn a_length_that_is_not_credible_is_not_made_room_for() {
    // A zstd frame with an empty block that says that it has 16 MiB, and a gzip member whose trailer does.
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 1, 1, 0, 0];
    let mut gzip = round(Encoding::Gzip, &[text(10)]);
    let at = gzip.len() - 4;
    gzip[at..].copy_from_slice(&(16u32 << 20).to_le_bytes());
    for (encoding, body) in [(Encoding::Zstd, &zstd[..]), (Encoding::Gzip, &gzip)] {
        let budget = Budget::new(8192);
        let got = plain(encoding, body, 64 << 20, &budget);
        assert!(matches!(got, Err(DecodeError::Corrupt { .. })), "{encoding}: {got:?}");
    }
}

#[test]
fn what_is_made_is_charged_while_it_lives_and_what_is_made_already_is_passed_on() {
    let budget = Budget::new(1 << 20);
    for encoding in COMPRESSED {
        let compressor = Compressor::new(encoding, 0);
        let made = compressor.compress(Bytes::from(text(10_000)).into(), &budget).unwrap();
        assert!((made.len()..=made.len() + made.len() / 8).contains(&budget.used()), "{encoding}");
        let address = made.pieces().next().unwrap().as_ptr();
        let again = compressor.compress(made, &budget).unwrap();
        assert_eq!(again.pieces().next().unwrap().as_ptr(), address);
        let other = if encoding == Encoding::Gzip { Encoding::Zstd } else { Encoding::Gzip };
        assert!(Compressor::new(other, 0).compress(again, &budget).is_err(), "{encoding} is not {other}");
        assert_eq!(budget.used(), 0);
    }
}

#[test]
fn only_the_default_level_goes_on_as_it_came() {
    for (encoding, level, forwards) in [
        (Encoding::Zstd, 0, Codings::only(Coding::Zstd)),
        (Encoding::Deflate, -1, Codings::only(Coding::Zlib)),
        (Encoding::Gzip, 6, Codings::NONE),
        (Encoding::Identity, 0, Codings::NONE),
    ] {
        assert_eq!(Compressor::new(encoding, level).forwards(), forwards, "{encoding} {level}");
    }
    let snappy = Compressor::new(Encoding::Snappy, 0);
    assert_eq!(snappy.in_grpc().forwards(), Codings::only(Coding::SnappyFramed));
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
