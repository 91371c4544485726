//! Where the configured model comes from, and where it is kept: its source, the object store, the cache on this machine.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use backends::{
    models::{self, ModelKey, StoredModel},
    objects::{ObjectStore, s3::S3Folder},
    stores,
};
use camino::Utf8PathBuf;
use embedding::{
    Bundle, Checksum, Embedder, EmbedderOptions, FetchOptions, FileChecksums, Progress, Source,
    source::{NoArchive, RemoteFiles},
};
use shared::{
    ModelFingerprint,
    config::{Config, ModelChecksums, Objects},
};

use super::{ModelFault, ShowProgress, cache, limits};
use crate::assets;

/// What the configuration calls the model that travels inside the program.
pub(crate) const BUNDLED: &str = "bundled";
/// How often the store is asked, while a model is fetched, whether somebody else was faster.
const LOOK_EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Library<'a> {
    config: &'a Config,
    source: Wanted,
    options: FetchOptions,
    shelf: Option<Shelf>,
}

/// The model that the configuration names.
enum Wanted {
    /// It travels inside the program.
    Bundled,
    From(Source),
}

/// Where processes that share an object store keep the model for each other.
struct Shelf {
    objects: Arc<dyn ObjectStore>,
    key: ModelKey,
    source: Source,
}

/// A model, and where it is.
pub(crate) enum Obtained {
    Stored(StoredModel),
    /// From its source, or it needs no fetching.
    Fetched(Box<Bundle>),
}

impl<'a> Library<'a> {
    /// Opens the object store too, if models are kept there.
    pub(crate) async fn open(config: &'a Config, progress: ShowProgress) -> Result<Self, ModelFault> {
        let mut library = Self::without_store(config, progress).await?;
        // A folder is this process's alone and on the same disk as the cache: a copy there would serve nobody.
        if let (Wanted::From(source), Objects::S3(_)) = (&library.source, &config.objects)
            && source.is_fetched()
        {
            let key = ModelKey::of(source, &library.options.checksums);
            let objects = Box::pin(stores::open_objects(config)).await?;
            library.shelf = Some(Shelf { objects, key, source: source.clone() });
        }
        Ok(library)
    }

    /// For a trial: nothing is read from the object store, nothing is put there.
    pub(crate) async fn without_store(config: &'a Config, progress: ShowProgress) -> Result<Self, ModelFault> {
        let (source, checksums) = wanted(config).map_err(ModelFault::Setting)?;
        let options = options(config, &source, checksums, progress).await?;
        Ok(Self { config, source, options, shelf: None })
    }

    /// The model in the object store, if it is there.
    pub(crate) async fn stored(&self) -> Result<Option<StoredModel>, ModelFault> {
        let Some(shelf) = &self.shelf else { return Ok(None) };
        Ok(models::find(&shelf.objects, &shelf.key).await.map_err(stores::OpenError::from)?)
    }

    /// Looks into the object store, and fetches the model from its source if it isn't there; unless it comes there
    /// meanwhile, since some processes reach the store alone.
    pub(crate) async fn obtain(&self) -> Result<Obtained, ModelFault> {
        if let Some(stored) = self.stored().await? {
            return Ok(Obtained::Stored(stored));
        }
        tokio::select! {
            fetched = self.fetch() => fetched.map(|bundle| Obtained::Fetched(Box::new(bundle))),
            stored = self.comes() => Ok(Obtained::Stored(stored)),
        }
    }

    async fn comes(&self) -> StoredModel {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Ok(Some(stored)) = self.stored().await {
                return stored;
            }
        }
    }

    /// From its source, through the cache on this machine.
    pub(crate) async fn fetch(&self) -> Result<Bundle, ModelFault> {
        let folder = match &self.source {
            Wanted::From(source) => Box::pin(source.fetch(&self.options)).await?,
            Wanted::Bundled => {
                let cache_folder = self.options.cache_folder.clone();
                off_thread(move || assets::extract_bundled_model(&cache_folder)).await.map_err(ModelFault::Setting)?
            }
        };
        self.open_bundle(folder).await
    }

    /// From the object store, through the cache on this machine.
    pub(crate) async fn copy(&self, stored: &StoredModel) -> Result<Bundle, ModelFault> {
        let folder = Box::pin(stored.copy(self.variant(), &self.options)).await?;
        self.open_bundle(folder).await
    }

    pub(crate) async fn identify(&self, stored: &StoredModel) -> Result<ModelFingerprint, ModelFault> {
        Ok(stored.identify(self.variant(), &self.options.cache_folder).await?)
    }

    pub(crate) async fn load(&self, bundle: Bundle) -> Result<Embedder, ModelFault> {
        let threads = self.config.model.threads.unwrap_or_else(embedding::cpu_limit);
        let options = EmbedderOptions {
            threads,
            decode_threads: threads,
            batch_size: self.config.ingestworker.batch_size,
            text_cache_entries: self.config.searchapi.text_cache_entries,
            limits: limits(self.config),
            ..EmbedderOptions::default()
        };
        Embedder::load(bundle, options).await.map_err(|source| self.unusable(source))
    }

    /// Puts a model that was loaded into the object store; false where models aren't kept there.
    pub(crate) async fn keep(
        &self,
        bundle: &Bundle,
        dimension: usize,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<bool, ModelFault> {
        let Some(Shelf { objects, key, source }) = &self.shelf else { return Ok(false) };
        models::put(objects, key, source, bundle, dimension, progress).await?;
        Ok(true)
    }

    async fn open_bundle(&self, folder: Utf8PathBuf) -> Result<Bundle, ModelFault> {
        let (variant, expected) = (self.variant().map(str::to_owned), self.options.checksums.clone());
        let (is_cached, source) = (self.source.is_cached(), self.source.shown());
        let opened = off_thread(move || {
            if is_cached {
                cache::note_use(&folder, &source);
            }
            let bundle = Bundle::open_variant(&folder, variant.as_deref())?;
            bundle.expect(&expected).map(|()| bundle)
        });
        opened.await.map_err(|source| self.unusable(source))
    }

    pub(crate) fn unusable(&self, source: embedding::BundleError) -> ModelFault {
        ModelFault::Load { model: self.source.shown(), source }
    }

    fn variant(&self) -> Option<&str> {
        match &self.source {
            Wanted::Bundled => None,
            Wanted::From(source) => source.variant(),
        }
    }
}

impl Wanted {
    /// A folder is used where it is.
    fn is_cached(&self) -> bool {
        match self {
            Self::Bundled => true,
            Self::From(source) => source.is_fetched(),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Bundled => BUNDLED.to_owned(),
            Self::From(source) => source.shown(),
        }
    }
}

/// The source of the model in use, as it may be shown.
pub(crate) fn configured_source(config: &Config) -> anyhow::Result<String> {
    Ok(wanted(config)?.0.shown())
}

fn wanted(config: &Config) -> anyhow::Result<(Wanted, FileChecksums)> {
    let model = &config.model;
    let mut source = match model.source.as_str() {
        BUNDLED => Wanted::Bundled,
        source => Wanted::From(source.parse()?),
    };
    let mut checksums = FileChecksums::new();
    match &model.sha256 {
        None => {}
        Some(ModelChecksums::Archive(checksum)) => {
            let Wanted::From(archive) = source else {
                return Err(NoArchive(model.source.clone()).into());
            };
            source = Wanted::From(archive.expect(checksum.parse()?)?);
        }
        Some(ModelChecksums::Files(files)) => {
            for (file, checksum) in files {
                checksums.insert(file.clone(), checksum.parse::<Checksum>()?);
            }
        }
    }
    Ok((source, checksums))
}

async fn options(
    config: &Config,
    source: &Wanted,
    checksums: FileChecksums,
    progress: ShowProgress,
) -> Result<FetchOptions, ModelFault> {
    let mut options = FetchOptions { progress, checksums, ..FetchOptions::new(cache::folder(config)) };
    options.hub_token = config.model.token.as_ref().map(|token| token.reveal().to_owned());
    if let Some(endpoint) = &config.model.hub_endpoint {
        let parsed =
            endpoint.parse::<url::Url>().with_context(|| format!("model.hub_endpoint: {endpoint:?} is not a URL"));
        options.hub_endpoint = parsed.map_err(ModelFault::Setting)?;
    }
    if let (Wanted::From(Source::Bucket(model)), Objects::S3(s3)) = (source, &config.objects) {
        let folder =
            Box::pin(S3Folder::open(s3, &model.bucket, &model.folder)).await.map_err(stores::OpenError::from)?;
        options.bucket = Some(Arc::new(folder) as Arc<dyn RemoteFiles>);
    }
    Ok(options)
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
