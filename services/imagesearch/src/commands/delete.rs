//! `imagesearch delete`: images by their ids.

use std::process::ExitCode;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    cli::DeleteArgs,
    client::{Client, refusal},
    exit::Failure,
    output,
};

pub(crate) async fn run(args: DeleteArgs, json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::new(&args.server)?;
    let mut code = ExitCode::SUCCESS;
    for image_id in &args.image_ids {
        let request = client.request(Method::DELETE, &format!("/api/v1/ingest/images/{image_id}"))?;
        let response = client.send_any(request).await?;
        let outcome = match response.status() {
            status if status.is_success() => "deleted".to_owned(),
            StatusCode::NOT_FOUND => {
                code = Failure::NotFound.into();
                "not there".to_owned()
            }
            _ => {
                let error = refusal(response).await;
                code = error.failure.into();
                error.message
            }
        };
        if json {
            output::print_json(&json!({ "image_id": image_id, "outcome": outcome }))?;
        } else {
            output::print_line(&format!("{image_id}  {outcome}"))?;
        }
    }
    Ok(code)
}
