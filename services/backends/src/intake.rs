//! Bytes on their way in, from whatever source: staged while they are hashed, counted and looked at, so that no image is
//! ever held in memory and nothing that is refused leaves a trace.

use bytes::Bytes;
use embedding::media::{self, MediaType, SNIFF_BYTES, UnsupportedType};
use sha2::{Digest, Sha256};
use shared::{ImageId, ImageRecord, Metadata, TaskId};

use crate::{
    error::StoreError,
    index::Collection,
    objects::{ObjectError, ObjectStore, StagedObject},
    queue::JobQueue,
    records::{Records, Stored, Upload},
};

/// The longest name that is kept, in bytes of UTF-8: what file systems allow.
const MAX_NAME_BYTES: usize = 255;

#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("the image has more than the {limit_bytes} bytes that are taken")]
    TooLarge { limit_bytes: u64 },
    #[error("the file is empty")]
    Empty,
    #[error(transparent)]
    UnsupportedType(#[from] UnsupportedType),
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// One image that is being received. Dropped before its end, it leaves nothing behind.
pub struct Intake {
    staged: Box<dyn StagedObject>,
    hasher: Sha256,
    prefix: Vec<u8>,
    size_bytes: u64,
    limit_bytes: u64,
    media: Option<MediaType>,
}

/// An image that is there whole, but has no key yet.
pub struct Received {
    staged: Box<dyn StagedObject>,
    pub image_id: ImageId,
    size_bytes: u64,
    media: MediaType,
}

impl Intake {
    pub async fn begin(objects: &dyn ObjectStore, limit_bytes: u64) -> Result<Self, ObjectError> {
        Ok(Self {
            staged: objects.stage().await?,
            hasher: Sha256::new(),
            prefix: Vec::with_capacity(SNIFF_BYTES),
            size_bytes: 0,
            limit_bytes,
            media: None,
        })
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// As soon as it is clear: past the limit, or of a type that is not read.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), IntakeError> {
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > self.limit_bytes {
            return Err(IntakeError::TooLarge { limit_bytes: self.limit_bytes });
        }
        self.look_at(&bytes)?;
        self.hasher.update(&bytes);
        Ok(self.staged.write(bytes).await?)
    }

    pub fn finish(self) -> Result<Received, IntakeError> {
        if self.size_bytes == 0 {
            return Err(IntakeError::Empty);
        }
        let media = self.media.map_or_else(|| media::sniff(&self.prefix), Ok)?;
        let image_id = ImageId::from_digest(self.hasher.finalize().into());
        Ok(Received { staged: self.staged, image_id, size_bytes: self.size_bytes, media })
    }

    fn look_at(&mut self, bytes: &[u8]) -> Result<(), UnsupportedType> {
        if self.media.is_none() {
            let missing = SNIFF_BYTES - self.prefix.len();
            self.prefix.extend_from_slice(&bytes[..bytes.len().min(missing)]);
            if self.prefix.len() == SNIFF_BYTES {
                self.media = Some(media::sniff(&self.prefix)?);
            }
        }
        Ok(())
    }
}

impl Received {
    /// What [`crate::records::Records::accept_upload`] takes.
    pub fn into_upload(self, name: Option<String>, metadata: Metadata) -> (Upload, Box<dyn StagedObject>) {
        let Self { staged, image_id, size_bytes, media } = self;
        (Upload { image_id, size_bytes, content_type: media.mime().to_owned(), name, metadata }, staged)
    }
}

/// What becomes of bytes that came in.
#[derive(Debug)]
pub enum Standing {
    /// They need not be taken again. The task brings the image; `None` when it is indexed.
    Duplicate { task_id: Option<TaskId> },
    /// For [`Records::accept_upload`], with the record that was found.
    Wanted(Option<Box<Stored>>),
}

/// An image is a duplicate while its record is present and either the index has that version or a task brings it.
/// What was made before a delete, a task or a vector on its way out, brings nothing, so it makes no duplicate.
pub async fn standing(
    records: &Records,
    queue: &dyn JobQueue,
    collection: &dyn Collection,
    image_id: ImageId,
) -> Result<Standing, StoreError> {
    let Some(stored) = records.read(image_id).await? else { return Ok(Standing::Wanted(None)) };
    // A record that can't be read is one to be replaced: its error says "upload the image again".
    let record = stored.record.as_ref().ok();
    let Some(version) = record.and_then(ImageRecord::searchable).map(|document| document.version) else {
        return Ok(Standing::Wanted(Some(Box::new(stored))));
    };
    if let Some(task) = queue.live_task(image_id, &collection.spec().model).await? {
        return Ok(Standing::Duplicate { task_id: Some(task.task_id) });
    }
    let indexed = collection.get(image_id).await?;
    let is_current = indexed.is_some_and(|point| point.document.version == version);
    Ok(if is_current { Standing::Duplicate { task_id: None } } else { Standing::Wanted(Some(Box::new(stored))) })
}

/// What is kept of the name that a file or a URL came with: its last segment, in whatever script, without control
/// characters and bounded; `None` when nothing is left.
pub fn clean_name(name: &str) -> Option<String> {
    // Both separators: some clients send whole paths, and not all of them run where `/` is the separator.
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let visible: String = last.chars().filter(|character| !is_invisible(*character)).collect();
    let trimmed = visible.trim();
    let bounded = &trimmed[..trimmed.floor_char_boundary(MAX_NAME_BYTES)];
    (!bounded.is_empty() && !bounded.chars().all(|character| character == '.')).then(|| bounded.to_owned())
}

/// Control characters, and those that reorder or hide what follows them ("gpj.exe" shown as "exe.jpg").
/// Joiners stay: Indic and Arabic scripts and emoji need them.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_script() {
        for name in [
            "Жираф.jpg",
            "キリン 🦒.png",
            "زرافة.webp",
            "जिराफ़.jpg",
            "長頸鹿.jpeg",
            "πίνακας.gif",
            "ยีราฟ.jpg",
            "👩‍👩‍👧.png",
        ] {
            assert_eq!(clean_name(name).as_deref(), Some(name));
        }
    }

    #[test]
    fn folders_controls_and_tricks_are_removed() {
        assert_eq!(clean_name("C:\\Users\\me\\cat.jpg").as_deref(), Some("cat.jpg"));
        assert_eq!(clean_name("../../etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(clean_name("a\0b\r\nc\u{7f}.png").as_deref(), Some("abc.png"));
        assert_eq!(clean_name("photo\u{202e}gpj.exe").as_deref(), Some("photogpj.exe"));
        for nothing in ["", "  ", "photos/", "..", "\u{7}"] {
            assert_eq!(clean_name(nothing), None);
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let name = clean_name(&"長".repeat(200)).expect("a name");
        assert_eq!(name.chars().count(), 85);
    }
}
