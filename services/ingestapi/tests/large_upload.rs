//! Alone in its process, whose memory it measures.

mod api;

use api::Api;
use bytes::Bytes;
use futures::stream;
use reqwest::multipart::{Form, Part};
use shared::http::Auth;

/// Largest resident size so far, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") << 10
}

#[tokio::test]
async fn a_file_past_the_limit_is_refused_without_being_held() {
    const MIB: u64 = 1 << 20;
    let api = Api::with(64 * MIB, 1000, Auth::off()).await;
    let start = Bytes::from(api::png(1));
    let piece = Bytes::from(vec![7_u8; 64 << 10]);
    let pieces = std::iter::once(start).chain(std::iter::repeat_n(piece, 200 * 16)).map(Ok::<_, std::io::Error>);
    let body = reqwest::Body::wrap_stream(stream::iter(pieces));
    let before = peak_memory();
    let (status, answer) = api.post_form(Form::new().part("file", Part::stream(body).file_name("large.png"))).await;
    assert_eq!(status, 413, "{answer}");
    assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("67108864")), "{answer}");
    let grown = peak_memory() - before;
    assert!(grown < 32 * MIB, "{} MiB more than before", grown / MIB);
    assert!(api.stored_files().is_empty());
}
