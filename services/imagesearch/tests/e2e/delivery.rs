//! Originals and variants over HTTP.

use reqwest::{Response, StatusCode, header};

use crate::server::{Server, photo};

async fn with_giraffe() -> (Server, String, Vec<u8>) {
    let server = Server::start().await;
    let bytes = photo("giraffe.jpg");
    let entry = server.upload("giraffe.jpg", bytes.clone()).await;
    server.ended(&entry["task_id"]).await;
    let path = format!("/images/{}", entry["image_id"].as_str().unwrap());
    (server, path, bytes)
}

async fn get_with(server: &Server, path: &str, name: header::HeaderName, value: &str) -> Response {
    server.http.get(server.url(path)).header(name, value).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_comes_back_as_it_was_and_can_be_kept_for_ever() {
    let (server, path, bytes) = with_giraffe().await;
    let response = server.get(&path).await;
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    assert_eq!(headers[header::CONTENT_TYPE], "image/jpeg");
    assert_eq!(headers[header::ACCEPT_RANGES], "bytes");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert!(headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("default-src 'none'"));
    assert_eq!(response.bytes().await.unwrap(), bytes);

    let head = server.http.head(server.url(&path)).send().await.unwrap();
    assert_eq!(head.headers()[header::CONTENT_LENGTH], bytes.len().to_string());
    assert_eq!(head.headers()[header::ETAG], headers[header::ETAG]);

    let etag = headers[header::ETAG].to_str().unwrap();
    for tags in [etag.to_owned(), "*".to_owned(), format!("\"x\", W/{etag}")] {
        assert_eq!(get_with(&server, &path, header::IF_NONE_MATCH, &tags).await.status(), StatusCode::NOT_MODIFIED);
    }
    assert_eq!(get_with(&server, &path, header::IF_MATCH, "\"x\"").await.status(), StatusCode::PRECONDITION_FAILED);
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_served_as_the_standard_says() {
    let (server, path, bytes) = with_giraffe().await;
    let size = bytes.len();
    let parts =
        [("bytes=0-99", 0..100), ("bytes=0-3145727", 0..size), ("bytes=-10", size - 10..size), ("bytes=50-", 50..size)];
    for (range, expected) in parts {
        let response = get_with(&server, &path, header::RANGE, range).await;
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        let content_range = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
        assert_eq!(response.headers()[header::CONTENT_RANGE], content_range);
        assert_eq!(response.bytes().await.unwrap(), bytes[expected], "{range}");
    }
    let beyond = get_with(&server, &path, header::RANGE, &format!("bytes={size}-")).await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.headers()[header::CONTENT_RANGE], format!("bytes */{size}"));
    assert_eq!(get_with(&server, &path, header::RANGE, "bytes=8-3").await.status(), StatusCode::OK);

    let other =
        server.http.get(server.url(&path)).header(header::RANGE, "bytes=0-9").header(header::IF_RANGE, "\"other\"");
    assert_eq!(other.send().await.unwrap().status(), StatusCode::OK, "the whole of another representation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_is_snapped_up_to_the_ladder_and_never_larger_than_the_original() {
    let (server, path, _) = with_giraffe().await;
    for (query, format, width) in [
        ("w=100&format=webp", image::ImageFormat::WebP, 128),
        ("w=128&format=jpeg", image::ImageFormat::Jpeg, 128),
        ("w=200&h=200&fit=cover&format=webp", image::ImageFormat::WebP, 240),
    ] {
        let response = server.get(&format!("{path}?{query}")).await;
        assert_eq!(response.status(), StatusCode::OK, "{query}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], format.to_mime_type());
        let bytes = response.bytes().await.unwrap();
        let variant = image::load_from_memory_with_format(&bytes, format).unwrap();
        assert_eq!(variant.width(), width, "{query}");
    }
    let original = image::load_from_memory(&server.get(&path).await.bytes().await.unwrap()).unwrap();
    let large = server.get(&format!("{path}?w=2560&format=jpeg")).await.bytes().await.unwrap();
    assert_eq!(image::load_from_memory(&large).unwrap().width(), original.width());
    assert_eq!(server.get(&format!("{path}?w=0")).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(server.get(&format!("{path}?w=100&format=svg")).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_image_and_its_variants_are_gone() {
    let (server, path, _) = with_giraffe().await;
    assert_eq!(server.get(&format!("{path}?w=128")).await.status(), StatusCode::OK);
    let url = server.url(&format!("/api/v1/ingest{path}"));
    assert_eq!(server.http.delete(url).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(server.get(&path).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(server.get(&format!("{path}?w=128")).await.status(), StatusCode::NOT_FOUND);
    let left = walkdir::WalkDir::new(server.data_dir().join("objects/variants")).into_iter().filter_map(Result::ok);
    assert_eq!(left.filter(|entry| entry.file_type().is_file()).count(), 0);
}
