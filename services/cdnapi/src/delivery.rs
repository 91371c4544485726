//! Finds the bytes behind an image id: the original, or a resized copy that is made once and kept.
//! Knows nothing of HTTP.

use std::{ops::Range, sync::Arc, time::Duration};

use backends::{
    keys,
    objects::{ObjectError, ObjectInfo, ObjectKey, ObjectStore, ObjectStream},
    records::{RecordError, Records},
};
use bytes::Bytes;
use embedding::{
    decode::Limits,
    variant::{Variant, VariantError},
};
use shared::{
    CopyId, ImageId,
    metrics::{
        cache::{self, Cache},
        limit::{self, Resource, Used},
    },
    telemetry::TRACE,
};
use tokio::sync::Semaphore;

use crate::variant::{self, Ladder};

/// Images whose place is remembered.
const LOCATED_ENTRIES: u64 = 100_000;
/// Resized copies kept in memory, in bytes: a few screens of thumbnails.
const VARIANT_CACHE_BYTES: u64 = 32 << 20;
/// No thumbnail is asked for so seldom and yet so soon again that a longer time would help.
const VARIANT_CACHE_TIME: Duration = Duration::from_mins(10);
/// Larger than any variant that the ladder allows.
const MAX_VARIANT_BYTES: u64 = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("there is no image {0}")]
    NotFound(ImageId),
    #[error(transparent)]
    Variant(VariantError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("resizing stopped unexpectedly")]
    Stopped(#[from] tokio::task::JoinError),
    /// The fault of the request that resized the same picture at the same time.
    #[error(transparent)]
    Shared(Arc<DeliveryError>),
}

/// Where an image's bytes lie and what they are. It never changes for a stored copy, so it can be remembered; whether the
/// copy is still there is asked anew each time.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub key: ObjectKey,
    pub content_type: Arc<str>,
}

#[derive(Clone)]
pub struct Delivery {
    objects: Arc<dyn ObjectStore>,
    records: Records,
    located: moka::future::Cache<ImageId, Located>,
    variants: moka::future::Cache<ObjectKey, Bytes>,
    renders: Arc<Semaphore>,
    ladder: Ladder,
    limits: Limits,
}

impl Delivery {
    /// `variant_sizes` are the sizes in pixels that wanted ones are snapped up to; `max_renders` are made at once.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        records: Records,
        variant_sizes: Vec<u32>,
        max_renders: usize,
        limits: Limits,
    ) -> Self {
        limit::add(Resource::Renders, max_renders);
        Self {
            objects,
            records,
            located: moka::future::Cache::new(LOCATED_ENTRIES),
            variants: moka::future::Cache::builder()
                .weigher(|_: &ObjectKey, bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX))
                .max_capacity(VARIANT_CACHE_BYTES)
                .time_to_idle(VARIANT_CACHE_TIME)
                .build(),
            renders: Arc::new(Semaphore::new(max_renders)),
            ladder: Ladder::new(variant_sizes),
            limits,
        }
    }

    pub(crate) fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// Size and type of an original.
    pub(crate) async fn head(&self, image_id: ImageId) -> Result<(ObjectInfo, Located), DeliveryError> {
        let objects = self.objects.clone();
        let head = |key: ObjectKey| {
            let objects = objects.clone();
            async move { objects.head(&key).await }
        };
        self.at_its_place(image_id, head).await
    }

    /// Streams an original, or `range` of it, which must lie inside.
    pub(crate) async fn open(
        &self,
        image_id: ImageId,
        range: Option<Range<u64>>,
    ) -> Result<((ObjectInfo, ObjectStream), Located), DeliveryError> {
        let objects = self.objects.clone();
        let read = |key: ObjectKey| {
            let (objects, range) = (objects.clone(), range.clone());
            async move { objects.read(&key, range).await }
        };
        self.at_its_place(image_id, read).await
    }

    /// The bytes of a resized copy of an image that is there.
    pub(crate) async fn variant(&self, image_id: ImageId, wanted: &Variant) -> Result<Bytes, DeliveryError> {
        let (_, located) = self.head(image_id).await?;
        let key = keys::variant(image_id, &variant::name(wanted))?;
        // Many who ask for the same at once wait for one that makes it.
        let made = self.load_or_render(image_id, &located, &key, wanted);
        let entry = self.variants.entry_by_ref(&key).or_try_insert_with(made).await.map_err(DeliveryError::Shared)?;
        cache::looked_up(Cache::Variants, !entry.is_fresh());
        Ok(entry.into_value())
    }

    async fn load_or_render(
        &self,
        image_id: ImageId,
        located: &Located,
        key: &ObjectKey,
        wanted: &Variant,
    ) -> Result<Bytes, DeliveryError> {
        let stored = self.objects.get(key, MAX_VARIANT_BYTES).await?;
        cache::looked_up(Cache::StoredVariants, stored.is_some());
        if let Some((_, bytes)) = stored {
            return Ok(bytes);
        }
        let bytes = self.render(image_id, located, wanted).await?;
        self.objects.put(key, bytes.clone(), backends::objects::PutCondition::None).await?;
        // The image may have been deleted while its copy was made: then nobody else removes the copy.
        if self.records.get(image_id).await?.is_none_or(|record| record.document().is_none()) {
            self.objects.delete(key).await?;
            return Err(DeliveryError::NotFound(image_id));
        }
        Ok(bytes)
    }

    async fn render(&self, image_id: ImageId, located: &Located, wanted: &Variant) -> Result<Bytes, DeliveryError> {
        let permit = self.renders.clone().acquire_owned().await;
        let original = self.objects.get(&located.key, self.limits.max_bytes).await?;
        let (_, original) = original.ok_or(DeliveryError::NotFound(image_id))?;
        let (wanted, limits) = (*wanted, self.limits);
        let span = tracing::info_span!(target: TRACE, "render", imagesearch.image_id = %image_id);
        let rendered = tokio::task::spawn_blocking(move || {
            // Held to the end, also when the client has gone away meanwhile.
            let _permit = permit;
            let _used = Used::begin(Resource::Renders);
            span.in_scope(|| wanted.render(&original, &limits))
        });
        rendered.await?.map(Bytes::from).map_err(DeliveryError::Variant)
    }

    /// Does something with an original where it is remembered to lie; looks again when it is not there any more, since an
    /// image that was deleted and uploaded again lies somewhere else.
    async fn at_its_place<T, F>(
        &self,
        image_id: ImageId,
        attempt: impl Fn(ObjectKey) -> F,
    ) -> Result<(T, Located), DeliveryError>
    where
        F: Future<Output = Result<Option<T>, ObjectError>>,
    {
        let remembered = self.located.get(&image_id).await;
        cache::looked_up(Cache::Locations, remembered.is_some());
        if let Some(located) = remembered {
            if let Some(found) = attempt(located.key.clone()).await? {
                return Ok((found, located));
            }
            self.located.invalidate(&image_id).await;
        }
        let located = self.locate(image_id).await?;
        let found = attempt(located.key.clone()).await?.ok_or(DeliveryError::NotFound(image_id))?;
        self.located.insert(image_id, located.clone()).await;
        Ok((found, located))
    }

    async fn locate(&self, image_id: ImageId) -> Result<Located, DeliveryError> {
        let not_found = || DeliveryError::NotFound(image_id);
        let record = self.records.get(image_id).await?.ok_or_else(not_found)?;
        let document = record.document().ok_or_else(not_found)?;
        let copy: CopyId = record.original.ok_or_else(not_found)?;
        let content_type = Arc::from(document.content_type.as_str());
        Ok(Located { key: keys::original(image_id, copy), content_type })
    }
}
