//! `imagesearch search`: images by words, by a picture, or by both.

use std::process::ExitCode;

use anyhow::Context as _;
use reqwest::{Method, multipart};
use serde::{Deserialize, Serialize};
use shared::ImageId;

use crate::{cli::SearchArgs, client::Client, output};

/// The part of an answer that is shown.
#[derive(Debug, Deserialize)]
struct SearchPage {
    results: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Row {
    image_id: ImageId,
    score: f32,
    #[serde(default)]
    relevance: Option<f32>,
    #[serde(default)]
    name: Option<String>,
    url: String,
}

/// The fields of a search that are the same for words and for pictures.
#[derive(Debug, Serialize)]
struct Window<'a> {
    limit: usize,
    offset: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_relevance: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_id: Option<ImageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_weight: Option<f32>,
}

pub(crate) async fn run(args: SearchArgs, json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::new(&args.server)?;
    let window = Window {
        limit: args.limit,
        offset: args.offset,
        min_score: args.min_score,
        min_relevance: args.min_relevance,
        filter: args.filter.as_deref(),
        text: args.text.as_deref(),
        image_id: args.like,
        text_weight: args.text_weight,
    };
    let path = "/api/v1/image/search";
    let request = match (&args.image, &args.like) {
        (Some(image), _) => client.request(Method::POST, path)?.multipart(picture_form(image, &window).await?),
        (None, Some(_)) => client.request(Method::POST, path)?.json(&window),
        (None, None) => client.request(Method::GET, path)?.query(&window),
    };
    let page: SearchPage = client.json(request).await?;
    print(&page, &client, json)?;
    Ok(ExitCode::SUCCESS)
}

async fn picture_form(image: &camino::Utf8Path, window: &Window<'_>) -> anyhow::Result<multipart::Form> {
    let bytes = tokio::fs::read(image).await.with_context(|| format!("cannot read the picture {image}"))?;
    let file = multipart::Part::bytes(bytes).file_name(image.file_name().unwrap_or("picture").to_owned());
    let fields = serde_json::to_value(window)?;
    let form = fields.as_object().into_iter().flatten().fold(multipart::Form::new(), |form, (name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        form.text(name.clone(), text)
    });
    Ok(form.part("file", file))
}

fn print(page: &SearchPage, client: &Client, json: bool) -> anyhow::Result<()> {
    if json {
        return page.results.iter().try_for_each(output::print_json);
    }
    if page.results.is_empty() {
        return output::print_line("nothing found; `imagesearch status` tells what is indexed");
    }
    let rows = page.results.iter().map(|result| {
        let row: Row = serde_json::from_value(result.clone()).context("the server's answer is not understood")?;
        let url = client.server().join(&row.url)?;
        Ok(vec![
            format!("{:.3}", row.score),
            row.relevance.map_or_else(|| "-".to_owned(), |relevance| format!("{relevance:.2}")),
            row.name.unwrap_or_else(|| format!("{:.12}", row.image_id.to_string())),
            url.to_string(),
        ])
    });
    let rows = rows.collect::<anyhow::Result<Vec<_>>>()?;
    output::table(&["SCORE", "RELEVANCE", "NAME", "URL"], &rows).iter().try_for_each(|line| output::print_line(line))
}
