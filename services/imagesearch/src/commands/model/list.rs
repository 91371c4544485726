//! `imagesearch model list`: the model in use, and those that are at hand.

use std::{fmt, process::ExitCode};

use anyhow::Context as _;
use backends::{
    models::{self, StoredModel},
    stores,
};
use camino::Utf8Path;
use embedding::{Bundle, BundleError, Source};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    ModelFingerprint,
    config::{Config, Objects},
};

use crate::{
    assets,
    cli::ConfigArgs,
    commands::config,
    output,
    roles::model::{BUNDLED, CachedModel, cache_folder, cached_models, configured_source},
};

const HEADER: [&str; 10] =
    ["", "NAME", "SOURCE", "PLACE", "FINGERPRINT", "DIMENSION", "SIZE", "LICENCE", "LANGUAGES", "LAST USED"];
const NOT_TOLD: &str = "not told";
const UNKNOWN: &str = "-";

/// What isn't known is `None`, or empty.
#[derive(Debug, Default, Serialize)]
struct Listed {
    in_use: bool,
    source: String,
    place: Place,
    name: Option<String>,
    fingerprint: Option<ModelFingerprint>,
    dimension: Option<usize>,
    size_bytes: Option<u64>,
    license: Option<String>,
    languages: Vec<String>,
    last_used: Option<Timestamp>,
    /// Why it can't be used.
    fault: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    Program,
    Cache,
    /// The one that the configuration names.
    Folder,
    ObjectStore,
    #[default]
    NotFetched,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Program => "program",
            Self::Cache => "cache",
            Self::Folder => "folder",
            Self::ObjectStore => "object store",
            Self::NotFetched => "not fetched",
        })
    }
}

pub(crate) async fn run(args: &ConfigArgs, json: bool) -> anyhow::Result<ExitCode> {
    let config = config::load(args)?;
    let source = configured_source(&config)?;
    let mut listed = stored(&config).await?;
    // Off the async threads, since all files are hashed.
    listed.extend(tokio::task::spawn_blocking(move || on_disk(&config)).await??);
    mark_in_use(&mut listed, source);
    if json {
        listed.iter().try_for_each(output::print_json)?;
    } else {
        let rows: Vec<_> = listed.iter().map(Listed::row).collect();
        output::table(&HEADER, &rows).iter().try_for_each(|line| output::print_line(line))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Those that processes share.
async fn stored(config: &Config) -> anyhow::Result<Vec<Listed>> {
    if !matches!(config.objects, Objects::S3(_)) {
        return Ok(Vec::new());
    }
    let objects = stores::open_objects(config).await?;
    let mut listed = Vec::new();
    for model in models::list(&objects).await? {
        listed.push(of_stored(&model, config).await);
    }
    listed.sort_by(|one, other| one.source.cmp(&other.source));
    Ok(listed)
}

async fn of_stored(model: &StoredModel, config: &Config) -> Listed {
    let manifest = model.manifest();
    let fingerprint = model.identify(variant_of(&manifest.source).as_deref(), &cache_folder(config)).await;
    Listed {
        source: manifest.source.clone(),
        place: Place::ObjectStore,
        name: Some(manifest.name.clone()),
        dimension: Some(manifest.dimension),
        size_bytes: Some(manifest.size_bytes()),
        license: manifest.license.clone(),
        languages: manifest.languages.clone(),
        fault: fingerprint.as_ref().err().map(ToString::to_string),
        fingerprint: fingerprint.ok(),
        ..Listed::default()
    }
}

/// The folder that is in use, those in the cache, the one used last first, and the bundled one.
fn on_disk(config: &Config) -> anyhow::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    let source = &config.model.source;
    if let (true, Ok(Source::Folder(folder))) = (source != BUNDLED, source.parse()) {
        listed.push(of_folder(&folder, source.clone(), Place::Folder));
    }
    for CachedModel { folder, source, last_used } in cached_models(config).context("cannot look into the cache")? {
        listed.push(Listed { last_used: Some(last_used), ..of_folder(&folder, source, Place::Cache) });
    }
    if !listed.iter().any(|model| model.source == BUNDLED) {
        let scratch = tempfile::tempdir().context("cannot make a folder for the bundled model")?;
        let scratch =
            Utf8Path::from_path(scratch.path()).context("the folder for temporary files has a strange name")?;
        listed.push(of_folder(&assets::extract_bundled_model(scratch)?, BUNDLED.to_owned(), Place::Program));
    }
    Ok(listed)
}

fn of_folder(folder: &Utf8Path, source: String, place: Place) -> Listed {
    let listed = match look(folder, &source) {
        Ok(listed) => listed,
        Err(error) => Listed { fault: Some(error.to_string()), ..Listed::default() },
    };
    Listed { source, place, ..listed }
}

fn look(folder: &Utf8Path, source: &str) -> Result<Listed, BundleError> {
    let bundle = Bundle::open_variant(folder, variant_of(source).as_deref())?;
    let manifest = bundle.manifest();
    Ok(Listed {
        name: Some(bundle.name().to_owned()),
        fingerprint: Some(bundle.fingerprint().clone()),
        dimension: manifest.dimension,
        size_bytes: Some(bundle.size_bytes()?),
        license: manifest.license.clone(),
        languages: manifest.languages.clone(),
        ..Listed::default()
    })
}

fn variant_of(source: &str) -> Option<String> {
    source.parse().ok().and_then(|source: Source| source.variant().map(str::to_owned))
}

/// The first with the configured source: the one in the object store, which is everybody's, or else the copy that was used
/// last, since a branch may have been others before.
fn mark_in_use(listed: &mut Vec<Listed>, source: String) {
    match listed.iter_mut().find(|model| model.source == source) {
        Some(model) => model.in_use = true,
        None => listed.insert(0, Listed { in_use: true, source, ..Listed::default() }),
    }
}

impl Listed {
    fn row(&self) -> Vec<String> {
        let or = |missing: &str, text: Option<String>| text.unwrap_or_else(|| missing.to_owned());
        let languages = Some(self.languages.join(",")).filter(|languages| !languages.is_empty());
        vec![
            if self.in_use { "*" } else { "" }.to_owned(),
            or(self.fault.as_deref().unwrap_or(UNKNOWN), self.name.clone()),
            self.source.clone(),
            self.place.to_string(),
            or(UNKNOWN, self.fingerprint.as_ref().map(ToString::to_string)),
            or(UNKNOWN, self.dimension.map(|dimension| dimension.to_string())),
            or(UNKNOWN, self.size_bytes.map(output::human_bytes)),
            or(NOT_TOLD, self.license.clone()),
            or(NOT_TOLD, languages),
            or(UNKNOWN, self.last_used.map(|used| format!("{used:.0}"))),
        ]
    }
}
