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
        let (outcome, reason) = match response.status() {
            status if status.is_success() => ("deleted", None),
            StatusCode::NOT_FOUND => {
                code = Failure::NotFound.into();
                ("not_there", None)
            }
            _ => {
                let error = refusal(response).await;
                code = error.failure.into();
                ("failed", Some(error.message))
            }
        };
        if json {
            let mut line = json!({ "image_id": image_id, "outcome": outcome });
            if let Some(reason) = reason {
                line["reason"] = reason.into();
            }
            output::print_json(&line)?;
        } else {
            let told = reason.unwrap_or_else(|| outcome.replace('_', " "));
            output::print_line(&format!("{image_id}  {told}"))?;
        }
    }
    Ok(code)
}
