//! The part of an upload that is being filled. Its beginning waits in memory; a longer one waits in a file without a name, so
//! that hundreds of slow clients take disk, not memory.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    mem,
};

use bytes::{Bytes, BytesMut};
use camino::Utf8Path;
use tokio::task::spawn_blocking;

use crate::objects::ObjectError;

/// Kept in memory for one upload.
const BUFFER_BYTES: usize = 128 << 10;
/// The same, once it has a file.
const BESIDE_FILE_BYTES: usize = 64 << 10;

#[derive(Default)]
pub(super) struct Part {
    buffer: BytesMut,
    file: Option<File>,
    /// What is in the file; the buffer comes after it.
    written_bytes: usize,
}

impl Part {
    pub(super) fn len(&self) -> usize {
        self.written_bytes + self.buffer.len()
    }

    pub(super) fn is_in_memory(&self) -> bool {
        self.file.is_none()
    }

    /// Nothing is left of the part when this fails or is given up.
    pub(super) async fn write(&mut self, bytes: Bytes, folder: &Utf8Path) -> Result<(), ObjectError> {
        let limit_bytes = if self.is_in_memory() { BUFFER_BYTES } else { BESIDE_FILE_BYTES };
        if self.buffer.len() + bytes.len() <= limit_bytes {
            self.buffer.extend_from_slice(&bytes);
            return Ok(());
        }
        let mut part = mem::take(self);
        let within = folder.to_owned();
        let appended = off_thread(move || part.append(&bytes, &within).map(|()| part)).await;
        *self = appended.map_err(|error| fault(folder, error))?;
        Ok(())
    }

    /// All of it, in memory.
    pub(super) async fn into_bytes(mut self, folder: &Utf8Path) -> Result<Bytes, ObjectError> {
        match self.file.take() {
            None => Ok(self.buffer.freeze()),
            Some(file) => {
                // Allocated here: the other threads are many, and each would keep memory of this size for its next time.
                let bytes = Vec::with_capacity(self.len());
                off_thread(move || self.join(file, bytes)).await.map_err(|error| fault(folder, error))
            }
        }
    }

    fn append(&mut self, bytes: &[u8], folder: &Utf8Path) -> io::Result<()> {
        if self.file.is_none() {
            fs::create_dir_all(folder)?;
            self.file = Some(tempfile::tempfile_in(folder)?);
        }
        if let Some(file) = &mut self.file {
            file.write_all(&self.buffer)?;
            file.write_all(bytes)?;
        }
        self.written_bytes += self.buffer.len() + bytes.len();
        self.buffer = BytesMut::new();
        Ok(())
    }

    fn join(&self, mut file: File, mut bytes: Vec<u8>) -> io::Result<Bytes> {
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        bytes.extend_from_slice(&self.buffer);
        Ok(bytes.into())
    }
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other).flatten()
}

fn fault(folder: &Utf8Path, error: io::Error) -> ObjectError {
    let context = format!("an upload can't wait in {folder}; make room there, or set data_dir to a folder to write to");
    ObjectError::Unavailable { context, source: error.into() }
}
