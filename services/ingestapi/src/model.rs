//! The model that searches use: asking for another one, and telling how far the change is.

use axum::{extract::State, http::StatusCode};
use backends::error::StoreError;
use shared::{
    http::{Json, Problem},
    model::{ModelChoice, ModelStatus},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{ingest::IngestError, router::IngestState};

/// A model that was asked for, and where to say that this is durable.
pub struct Chosen {
    pub choice: ModelChoice,
    pub taken: oneshot::Sender<Result<(), StoreError>>,
}

/// What a process tells of its model, and how another one is asked for.
#[derive(Clone)]
pub struct ModelControl {
    status: watch::Receiver<ModelStatus>,
    /// `None` where the configuration alone decides.
    choices: Option<mpsc::Sender<Chosen>>,
}

impl ModelControl {
    pub fn new(status: watch::Receiver<ModelStatus>, choices: mpsc::Sender<Chosen>) -> Self {
        Self { status, choices: Some(choices) }
    }

    /// For a process whose configuration alone decides.
    pub fn configured(status: watch::Receiver<ModelStatus>) -> Self {
        Self { status, choices: None }
    }

    fn status(&self) -> ModelStatus {
        self.status.borrow().clone()
    }

    async fn choose(&self, choice: ModelChoice) -> Result<ModelStatus, IngestError> {
        let choices = self.choices.as_ref().ok_or(IngestError::ModelIsConfigured)?;
        let (taken, answer) = oneshot::channel();
        if choices.send(Chosen { choice, taken }).await.is_err() {
            return Err(IngestError::Stopping);
        }
        answer.await.map_err(|_| IngestError::Stopping)??;
        Ok(self.status())
    }
}

/// The model that searches use, and the change of it that is under way.
#[utoipa::path(get, path = "/api/v1/ingest/model", tag = "model", responses((status = 200, body = ModelStatus), Problem))]
pub(crate) async fn get_model(State(state): State<IngestState>) -> Json<ModelStatus> {
    Json(state.models.status())
}

/// Asks for another model. Its collection is built beside the current one from the stored images, and when it has them all,
/// searches move over; until then nothing changes for them. Asking for the current model ends a change that is under way,
/// asking for the one of before goes back to it.
#[utoipa::path(
    put,
    path = "/api/v1/ingest/model",
    tag = "model",
    request_body = ModelChoice,
    responses((status = 202, description = "It is wanted from now on, whatever dies meanwhile", body = ModelStatus), Problem)
)]
pub(crate) async fn change_model(
    State(state): State<IngestState>,
    Json(choice): Json<ModelChoice>,
) -> Result<(StatusCode, Json<ModelStatus>), Problem> {
    if let Some(fault) = choice.fault() {
        return Err(Problem::unprocessable(fault));
    }
    Ok((StatusCode::ACCEPTED, Json(state.models.choose(choice).await?)))
}
