//! An object on its way in. Small ones wait in memory, so that an upload that is refused or cut off early never touches
//! the disk; larger ones go to a file in the staging folder.

use std::{io::Write, sync::Arc};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tempfile::NamedTempFile;

use super::{blocking, fault, writing::Folder};
use crate::objects::{ObjectError, ObjectKey, PutCondition, StagedObject};

/// Kept in memory for one object before it is written.
const BUFFER_BYTES: usize = 256 << 10;
const WHAT: &str = "an upload";

pub(super) struct FolderStaged {
    folder: Arc<Folder>,
    /// `None` after a write that failed or was given up half way: what is there can't be trusted then.
    content: Option<Content>,
}

#[derive(Default)]
struct Content {
    file: Option<NamedTempFile>,
    buffer: BytesMut,
}

impl FolderStaged {
    pub(super) fn new(folder: Arc<Folder>) -> Self {
        Self { folder, content: Some(Content::default()) }
    }

    fn take(&mut self) -> Result<Content, ObjectError> {
        let broken = || ObjectError::Unavailable { context: WHAT.into(), source: "an earlier write failed".into() };
        self.content.take().ok_or_else(broken)
    }

    async fn flush(&mut self, mut content: Content) -> Result<Content, ObjectError> {
        let folder = self.folder.clone();
        blocking(move || content.flush(&folder).map(|()| content)).await
    }
}

#[async_trait]
impl StagedObject for FolderStaged {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        let mut content = self.take()?;
        content.buffer.extend_from_slice(&bytes);
        if content.buffer.len() >= BUFFER_BYTES {
            content = self.flush(content).await?;
        }
        self.content = Some(content);
        Ok(())
    }

    async fn commit(mut self: Box<Self>, key: &ObjectKey) -> Result<(), ObjectError> {
        let content = self.take()?;
        let (folder, key) = (self.folder.clone(), key.clone());
        blocking(move || {
            let file = content.into_file(&folder)?;
            folder.publish(file, &key, &PutCondition::None).map(drop)
        })
        .await
    }
}

impl Content {
    fn flush(&mut self, folder: &Folder) -> Result<(), ObjectError> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(folder.stage().map_err(|error| fault(WHAT, error))?),
        };
        file.write_all(&self.buffer).map_err(|error| fault(WHAT, error))?;
        self.buffer.clear();
        Ok(())
    }

    fn into_file(mut self, folder: &Folder) -> Result<NamedTempFile, ObjectError> {
        self.flush(folder)?;
        match self.file {
            Some(file) => Ok(file),
            None => folder.stage().map_err(|error| fault(WHAT, error)),
        }
    }
}
