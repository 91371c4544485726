//! Which model a process begins with.

use backends::{Stores, model_registry::ModelRegistry, objects::ObjectStore, stores::OpenError};
use embedding::Embedder;
use shared::{
    config::{self, Config},
    model::{KnownModel, ModelChoice},
};

use crate::roles::{
    model::{self, ModelFault},
    starting::MayPass,
};

/// The model to begin with, as registry and configuration say: one that the configuration names since the last start is
/// wanted, and the current one stays until that is ready.
pub(in crate::roles) async fn begin(config: &Config, stores: &Stores) -> Result<(Embedder, ModelRegistry), ModelFault> {
    let objects = stores.objects.as_ref();
    let configured = ModelChoice::from(&config.model);
    let found = ModelRegistry::read(objects).await.map_err(OpenError::from)?;
    let Some(mut registry) = found.clone() else {
        let embedder = model::load(config).await?;
        return Ok((embedder.clone(), remembered(objects, configured, embedder).await?));
    };
    if registry.configured != configured {
        registry = ModelRegistry { configured: configured.clone(), wanted: configured, ..registry };
    }
    let embedder = match model::load(&with_model(config, &registry.current.choice)).await {
        Ok(embedder) => embedder,
        Err(fault) if fault.may_pass() || registry.wanted == registry.current.choice => return Err(fault),
        Err(fault) => {
            tracing::warn!(
                error = &fault as &dyn std::error::Error,
                "the model of before can't be loaded; the wanted one begins with what it has indexed"
            );
            registry.current.choice = registry.wanted.clone();
            model::load(&with_model(config, &registry.wanted)).await?
        }
    };
    registry.current = known(registry.current.choice, &embedder);
    if found.as_ref() != Some(&registry) {
        registry.write(objects).await.map_err(OpenError::from)?;
    }
    Ok((embedder, registry))
}

async fn remembered(
    objects: &dyn ObjectStore,
    configured: ModelChoice,
    embedder: Embedder,
) -> Result<ModelRegistry, ModelFault> {
    let current = known(configured.clone(), &embedder);
    let registry = ModelRegistry { wanted: configured.clone(), configured, current, next: None, previous: None };
    registry.write(objects).await.map_err(OpenError::from)?;
    Ok(registry)
}

pub(super) fn known(choice: ModelChoice, embedder: &Embedder) -> KnownModel {
    KnownModel { choice, fingerprint: embedder.fingerprint().clone(), dimension: embedder.dimension() }
}

pub(super) fn with_model(config: &Config, choice: &ModelChoice) -> Config {
    let ModelChoice { source, sha256 } = choice.clone();
    let model = config::Model { source, sha256, ..config.model.clone() };
    Config { model, ..config.clone() }
}
