//! Any body of a form, through the extractor that uploads come through: read to its end or refused, never a panic, and
//! no more comes out than went in.
#![no_main]

use axum::{body::Body, extract::FromRequest, http::Request};
use libfuzzer_sys::fuzz_target;
use shared::http::{Multipart, Problem};

fuzz_target!(|body: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    if let Ok(read) = runtime.block_on(read(body)) {
        assert!(read <= body.len(), "{read} bytes out of {}", body.len());
    }
});

async fn read(body: &[u8]) -> Result<usize, Problem> {
    let request = Request::builder()
        .header("content-type", "multipart/form-data; boundary=x")
        .body(Body::from(body.to_vec()))
        .expect("a request");
    let Multipart(mut form) = Multipart::from_request(request, &()).await?;
    let mut bytes = 0;
    while let Some(mut field) = form.next_field().await? {
        let _ = (field.name().map(str::len), field.file_name().map(str::len));
        while let Some(chunk) = field.chunk().await? {
            bytes += chunk.len();
        }
    }
    Ok(bytes)
}
