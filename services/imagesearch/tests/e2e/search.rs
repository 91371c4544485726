//! Searches over HTTP: by words, by a picture, by both, with filters and windows.

use reqwest::{StatusCode, multipart};
use serde_json::{Value, json};

use crate::server::{Server, ids, photo};

const ANIMALS: [&str; 6] = ["giraffe.jpg", "b_giraffe.jpg", "cat.jpg", "owl.jpg", "panda.jpg", "koala.jpg"];

/// A server with some animals; their ids in the order of [`ANIMALS`].
async fn with_animals() -> (Server, Vec<String>) {
    let server = Server::start().await;
    let mut animals = Vec::new();
    for name in ANIMALS {
        animals.push(server.upload(name, photo(name)).await["image_id"].as_str().unwrap().to_owned());
    }
    server.until_idle().await;
    (server, animals)
}

async fn post(server: &Server, form: multipart::Form) -> Value {
    let response = server.http.post(server.url("/api/v1/image/search")).multipart(form).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_index_finds_nothing_and_says_so_without_an_error() {
    let server = Server::start().await;
    assert!(server.search("a giraffe", 10).await.is_empty());
    assert_eq!(server.get_json("/api/v1/image").await, json!({ "images": [], "total": 0 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_carries_what_a_page_needs() {
    let (server, animals) = with_animals().await;
    let page = server.get_json("/api/v1/image/search?text=a%20giraffe&limit=2").await;
    let result = &page["results"][0];
    assert!(animals[..2].contains(&result["image_id"].as_str().unwrap().to_owned()), "{result}");
    assert_eq!(result["url"], format!("/images/{}", result["image_id"].as_str().unwrap()));
    assert_eq!(result["content_type"], "image/jpeg");
    assert!(result["score"].as_f64().unwrap() > page["results"][1]["score"].as_f64().unwrap() - 1e-6);
    assert!(result["size_bytes"].as_u64().unwrap() > 10_000);
    assert!(result["facts"]["width"].as_u64().unwrap() > 100 && result["facts"]["thumbhash"].is_string());
    assert_eq!((page["limit"].as_u64(), page["offset"].as_u64()), (Some(2), Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_finds_itself_and_its_like() {
    let (server, animals) = with_animals().await;
    let file = || multipart::Part::bytes(photo("giraffe.jpg")).file_name("query.jpg");
    let by_picture = post(&server, multipart::Form::new().part("file", file())).await;
    assert_eq!(ids(&by_picture["results"])[0], animals[0]);
    assert!(by_picture["results"][0]["score"].as_f64().unwrap() > 0.999);

    let similar = server.get_json(&format!("/api/v1/image/{}/similar?limit=3", animals[0])).await;
    assert_eq!(ids(&similar["results"])[0], animals[1], "the other giraffe, not itself");

    let both = multipart::Form::new().part("file", file()).text("text", "an owl").text("text_weight", "0.9");
    assert_eq!(ids(&post(&server, both).await["results"])[0], animals[3], "the words weigh more");
}

#[tokio::test(flavor = "multi_thread")]
async fn window_filter_and_lowest_score_pick_from_the_same_order() {
    let (server, _) = with_animals().await;
    let all = server.search("an animal", 100).await;
    assert_eq!(all.len(), ANIMALS.len());
    let page = server.get_json("/api/v1/image/search?text=an%20animal&limit=2&offset=2").await;
    assert_eq!(ids(&page["results"]), all[2..4]);
    let none = server.get_json("/api/v1/image/search?text=an%20animal&min_score=0.99").await;
    assert!(ids(&none["results"]).is_empty());
    let query = [("text", "an animal"), ("filter", "name = \"cat.jpg\" OR name = \"owl.jpg\"")];
    let response = server.http.get(server.url("/api/v1/image/search")).query(&query).send().await.unwrap();
    assert_eq!(ids(&response.json::<Value>().await.unwrap()["results"]).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_longer_than_the_model_takes_is_truncated_not_refused() {
    let (server, _) = with_animals().await;
    let long = "a giraffe ".repeat(300);
    let response =
        server.http.post(server.url("/api/v1/image/search")).json(&json!({ "text": long })).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.json::<Value>().await.unwrap()["results"].as_array().unwrap().len(), ANIMALS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_pages_through_everything_once() {
    let (server, mut animals) = with_animals().await;
    let mut found = Vec::new();
    let mut path = "/api/v1/image?limit=4".to_owned();
    loop {
        let page = server.get_json(&path).await;
        found.extend(ids(&page["images"]));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/v1/image?limit=4&cursor={cursor}");
    }
    let newest = server.get_json("/api/v1/image?order=created%20desc").await;
    let mut oldest = ids(&server.get_json("/api/v1/image?order=created").await["images"]);
    oldest.reverse();
    assert_eq!((ids(&newest["images"]), oldest), (found.clone(), found.clone()), "newest first unless asked otherwise");
    found.sort();
    animals.sort();
    assert_eq!(found, animals);
}
