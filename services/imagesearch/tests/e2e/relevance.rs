//! Relevance over HTTP: what it says of real photos, what it leaves out, and that another model says the same.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    time::Instant,
};

use reqwest::{StatusCode, multipart};
use serde_json::{Value, json};

use crate::server::{DEADLINE, POLL, Server, captions, ids, image_id, photo};

/// Words, and all of the photos that they fit.
const FITTING: [(&str, &[&str]); 10] = [
    ("a panda", &["panda.jpg", "red_panda.jpg"]),
    ("a cat", &["cat.jpg", "jaguar.jpg"]),
    ("a parrot", &["scarlet_macaw.jpg"]),
    ("a crab", &["crab.jpg"]),
    ("a whale", &["narwhal.jpg"]),
    ("a koala", &["koala.jpg"]),
    ("a polar bear", &["polar_bear.jpg"]),
    ("a sheep", &["sheep.jpg", "horse.jpg"]),
    ("a pig", &["pig.jpg"]),
    ("a lemur", &["lemur.jpg"]),
];

/// What none of the photos shows.
const UNRELATED: [&str; 6] =
    ["a bowl of tomato soup", "a screenshot of a spreadsheet", "a bicycle", "a laptop", "a container ship", "an x-ray"];

/// A server with all photos, whose calibration is one of most of them.
async fn with_photos(settings: &[(&str, &str)]) -> Server {
    let mut server = Server::start_with(settings).await;
    let photos: Vec<String> = captions().into_keys().collect();
    for name in &photos {
        server.upload(name, photo(name)).await;
    }
    server.until_idle().await;
    let started = Instant::now();
    while measured(&server).is_none_or(|images| 3 * images <= 2 * photos.len()) {
        assert!(started.elapsed() < DEADLINE, "the collection is not measured");
        tokio::time::sleep(POLL).await;
    }
    // A process that was just started knows what was measured before, from its first search on.
    assert_eq!(server.stop(), Some(0));
    server.start_again().await;
    assert!(!ids(&find(&server, &json!({ "text": "a cat", "min_relevance": 0.5 })).await["results"]).is_empty());
    server
}

/// The number of images that the calibration was measured at.
fn measured(server: &Server) -> Option<usize> {
    let mut files = fs::read_dir(server.data_dir().join("objects/calibrations")).ok()?;
    let calibration: Value = serde_json::from_slice(&fs::read(files.next()?.unwrap().path()).unwrap()).ok()?;
    calibration["images"].as_u64().map(|images| images as usize)
}

async fn find(server: &Server, query: &Value) -> Value {
    let response = server.http.post(server.url("/api/v1/image/search")).json(query).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{query}");
    response.json().await.unwrap()
}

fn relevances(page: &Value) -> HashMap<String, f64> {
    let results = page["results"].as_array().unwrap();
    let relevance = |result: &Value| result["relevance"].as_f64().unwrap();
    ids(&page["results"]).into_iter().zip(results.iter().map(relevance)).collect()
}

fn ids_of(photos: &[&str]) -> BTreeSet<String> {
    photos.iter().map(|name| image_id(&photo(name))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn captions_make_their_photos_relevant_and_unrelated_words_none() {
    let server = with_photos(&[]).await;
    let (mut relevant, captions) = (0, captions());
    for (name, caption) in &captions {
        let page = find(&server, &json!({ "text": caption, "limit": 100 })).await;
        let found = relevances(&page);
        assert_eq!(found.len(), captions.len());
        assert!(found.values().all(|relevance| (0.0..=1.0).contains(relevance)));
        relevant += usize::from(found[&image_id(&photo(name))] > 0.5);
    }
    println!("{relevant} of {} photos are relevant to their captions", captions.len());
    assert!(relevant * 100 >= captions.len() * 85, "{relevant}");
    for text in UNRELATED {
        let page = find(&server, &json!({ "text": text, "limit": 100 })).await;
        let most = relevances(&page).into_values().fold(0.0, f64::max);
        assert!(most < 0.5, "{text}: {most}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_threshold_keeps_the_same_photos_with_another_model() {
    let second = servers::second_model();
    let servers = [with_photos(&[]).await, with_photos(&[("MODEL__SOURCE", &second)]).await];
    for server in &servers {
        for (text, fitting) in FITTING {
            let page = find(server, &json!({ "text": text, "min_relevance": 0.5 })).await;
            let found: BTreeSet<String> = ids(&page["results"]).into_iter().collect();
            assert_eq!(found, ids_of(fitting), "{text} at {}", page["model"]["name"]);
        }
        for text in UNRELATED {
            let page = find(server, &json!({ "text": text, "min_relevance": 0.5 })).await;
            assert!(ids(&page["results"]).is_empty(), "{text}: {page}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_search_leaves_out_what_is_less_relevant() {
    let server = with_photos(&[]).await;
    let giraffe = image_id(&photo("giraffe.jpg"));
    let file = || multipart::Part::bytes(photo("giraffe.jpg")).file_name("query.jpg");
    let similar = format!("/api/v1/image/{giraffe}/similar?limit=100");
    let by_words = "/api/v1/image/search?text=a%20castle&limit=100".to_owned();
    for path in [by_words, similar] {
        let all = server.get_json(&path).await["results"].clone();
        let relevance = |rank: usize| all[rank]["relevance"].as_f64().unwrap();
        let least = f64::midpoint(relevance(2), relevance(3));
        let page = server.get_json(&format!("{path}&min_relevance={least}")).await;
        assert_eq!(ids(&page["results"]), ids(&all)[..3], "{path}");
    }
    for words in [None, Some("a giraffe")] {
        let form = multipart::Form::new().part("file", file()).text("limit", "100").text("min_relevance", "0.5");
        let form = words.into_iter().fold(form, |form, words| form.text("text", words));
        let response = server.http.post(server.url("/api/v1/image/search")).multipart(form).send().await.unwrap();
        let page: Value = response.json().await.unwrap();
        let found = relevances(&page);
        assert!(found.len() < 10 && found.values().all(|relevance| *relevance >= 0.5), "{words:?}: {page}");
        assert!(found[&giraffe] > 0.9, "the same picture, {words:?}: {page}");
    }
    let both = json!({ "text": "a castle", "limit": 100, "min_relevance": 0.1, "min_score": 0.6 });
    let page = find(&server, &both).await;
    let scores = page["results"].as_array().unwrap().iter().map(|result| result["score"].as_f64().unwrap());
    assert!(scores.clone().count() > 0 && scores.min_by(f64::total_cmp).unwrap() >= 0.6, "both hold: {page}");
    let output = server.command(&["search", "a koala", "--min-relevance", "0.5"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("RELEVANCE") && shown.contains("koala.jpg") && shown.lines().count() == 2, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_too_small_to_be_measured_says_so_only_when_asked() {
    let server = Server::start().await;
    server.upload("cat.jpg", photo("cat.jpg")).await;
    server.until_idle().await;
    let path = "/api/v1/image/search?text=a%20cat";
    let page = server.get_json(&format!("{path}&min_relevance=0")).await;
    let result = page["results"][0].as_object().unwrap();
    assert!(result.contains_key("score") && !result.contains_key("relevance"), "{page}");
    let refused = server.get(&format!("{path}&min_relevance=0.5")).await;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "https://imagesearch.dev/problems/not-calibrated");
    assert!(problem["detail"].as_str().unwrap().contains("16 indexed images"), "{problem}");
    for outside in ["1.5", "-0.1", "NaN"] {
        let refused = server.get(&format!("{path}&min_relevance={outside}")).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{outside}");
    }
}
