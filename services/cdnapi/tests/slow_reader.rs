//! Alone in its process, whose memory it measures.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop where it is")]

mod site;

use bytes::Bytes;
use site::Site;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const MIB: usize = 1 << 20;

/// Largest resident size so far, in bytes.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches("kB").trim().parse::<usize>().expect("a number") << 10
}

#[tokio::test]
async fn a_large_original_streams_to_a_slow_reader_without_being_held() {
    let site = Site::start().await;
    let signature = Bytes::from_static(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0");
    let piece = Bytes::from(vec![7_u8; MIB]);
    let size = signature.len() + 256 * MIB;
    let image_id = site.store(std::iter::once(signature).chain(std::iter::repeat_n(piece, 256))).await;

    let before = peak_memory();
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let request = format!("GET /images/{image_id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut read, mut buffer) = (0, vec![0; 64 << 10]);
    loop {
        // The server gets more turns than it needs to run ahead, if it did.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            count => read += count,
        }
    }
    assert!((size..size + 2000).contains(&read), "{read} bytes with the head, of {size}");
    let grown = peak_memory() - before;
    assert!(grown < 32 * MIB, "{} MiB more than before", grown / MIB);
}
