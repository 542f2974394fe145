use super::*;
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn small_writes_leave_together_and_the_buffer_goes_back() {
    let (mut peer, socket) = tokio::io::duplex(1 << 20);
    let (mut io, flusher) = Coalesced::new(socket);
    for _ in 0..10 {
        io.write_all(b"0123456789").await.unwrap();
        io.flush().await.unwrap();
    }
    assert_eq!(lock(&flusher.0).held.len(), 100, "nothing has left yet");
    poll_fn(|cx| flusher.poll_flush(cx)).await.unwrap();
    assert_eq!(lock(&flusher.0).held.capacity(), 0, "an idle connection holds no buffer");
    let mut got = [0; 100];
    peer.read_exact(&mut got).await.unwrap();
    assert_eq!(&got[90..], b"0123456789");
}

#[tokio::test]
async fn what_is_larger_than_the_buffer_keeps_its_order_through_a_narrow_pipe() {
    let (mut peer, socket) = tokio::io::duplex(1000);
    let (mut io, flusher) = Coalesced::new(socket);
    let data: Vec<u8> = (0..500_000u32).map(|i| (i % 251) as u8).collect();
    let expected = data.clone();
    let writer = tokio::spawn(async move {
        flusher
            .drive(async move {
                for (index, part) in data.chunks(30_011).enumerate() {
                    let (a, b) = part.split_at(part.len() / 3);
                    io.write_all(a).await.unwrap();
                    io.write_all(b).await.unwrap();
                    if index % 3 == 0 {
                        io.flush().await.unwrap();
                    }
                }
                io.shutdown().await.unwrap();
            })
            .await;
    });
    let mut got = Vec::new();
    peer.read_to_end(&mut got).await.unwrap();
    writer.await.unwrap();
    assert!(got == expected);
}

#[tokio::test]
async fn small_reads_share_one_and_keep_the_order_of_bytes() {
    let (mut peer, socket) = tokio::io::duplex(1 << 20);
    let (mut io, flusher) = Coalesced::new(socket);
    let data: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    peer.write_all(&data).await.unwrap();
    let mut got = Vec::new();
    // Sizes on both sides of the one from which on the protocol's own buffer is read into.
    for size in [1, 10, 9_000, 5, 8_000, 16_384, 3, 40_000].into_iter().cycle() {
        let mut part = vec![0; size.min(data.len() - got.len())];
        if part.is_empty() {
            break;
        }
        io.read_exact(&mut part).await.unwrap();
        got.extend_from_slice(&part);
    }
    assert!(got == data);
    assert_eq!(lock(&flusher.0).ahead.capacity(), 0, "an idle connection holds no buffer");
    drop(peer);
    assert_eq!(io.read(&mut [0; 10]).await.unwrap(), 0, "the end is the end");
    assert!(lock(&flusher.0).reads < 40, "{} reads", lock(&flusher.0).reads);
}
