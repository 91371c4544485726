//! Everything that only looks: an open file stays whole when its name is given to another one.

use std::{
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    os::unix::fs::MetadataExt,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use jiff::Timestamp;

use super::{
    blocking, fault,
    writing::{Folder, is_absent},
};
use crate::objects::{ETag, ObjectError, ObjectInfo, ObjectKey, ObjectStream};

/// Read in one go: small objects need one hop to another thread, large ones little memory.
const CHUNK_BYTES: u64 = 256 << 10;

impl Folder {
    pub(super) fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectError> {
        match self.path(key).metadata() {
            Ok(metadata) if metadata.is_file() => Ok(Some(info_of(key.clone(), &metadata))),
            Ok(_) => Ok(None),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(fault(key.as_str(), error)),
        }
    }

    pub(super) fn get(&self, key: &ObjectKey, limit_bytes: u64) -> Result<Option<(ObjectInfo, Bytes)>, ObjectError> {
        let Some((mut file, info)) = self.open_object(key)? else { return Ok(None) };
        if info.size_bytes > limit_bytes {
            return Err(ObjectError::TooLarge { key: key.clone(), size_bytes: info.size_bytes, limit_bytes });
        }
        let bytes = read_exactly(&mut file, info.size_bytes).map_err(|error| fault(key.as_str(), error))?;
        Ok(Some((info, bytes)))
    }

    pub(super) fn read(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectInfo, ObjectStream)>, ObjectError> {
        let Some((mut file, info)) = self.open_object(key)? else { return Ok(None) };
        let range = range.unwrap_or(0..info.size_bytes);
        let end = range.end.min(info.size_bytes);
        let start = range.start.min(end);
        let first = seek_to(&mut file, start)
            .and_then(|()| read_exactly(&mut file, (end - start).min(CHUNK_BYTES)))
            .map_err(|error| fault(key.as_str(), error))?;
        let left_bytes = end - start - first.len() as u64;
        let first = stream::iter((!first.is_empty()).then_some(Ok(first)));
        let rest = file_stream(file, left_bytes, key.to_string());
        Ok(Some((info, first.chain(rest).boxed())))
    }

    fn open_object(&self, key: &ObjectKey) -> Result<Option<(File, ObjectInfo)>, ObjectError> {
        let opened = File::open(self.path(key)).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        match opened {
            Ok((file, metadata)) if metadata.is_file() => Ok(Some((file, info_of(key.clone(), &metadata)))),
            Ok(_) => Ok(None),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(fault(key.as_str(), error)),
        }
    }
}

/// The next `left_bytes` of a file.
fn file_stream(file: File, left_bytes: u64, what: String) -> ObjectStream {
    stream::try_unfold((file, left_bytes, what), |(mut file, left_bytes, what)| async move {
        if left_bytes == 0 {
            return Ok(None);
        }
        blocking(move || {
            let chunk = read_exactly(&mut file, left_bytes.min(CHUNK_BYTES)).map_err(|error| fault(&what, error))?;
            let left_bytes = left_bytes - chunk.len() as u64;
            Ok(Some((chunk, (file, left_bytes, what))))
        })
        .await
    })
    .boxed()
}

pub(super) fn info_of(key: ObjectKey, metadata: &Metadata) -> ObjectInfo {
    let modified = metadata.modified().ok().and_then(|modified| Timestamp::try_from(modified).ok());
    ObjectInfo {
        key,
        size_bytes: metadata.len(),
        etag: etag_of(metadata),
        modified: modified.unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

/// Every write has a time of its own (`Folder::seal`); size and inode tell apart what other programs put there.
pub(super) fn etag_of(metadata: &Metadata) -> ETag {
    let time_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    ETag(format!("{time_ns:x}-{:x}-{:x}", metadata.len(), metadata.ino()))
}

fn seek_to(file: &mut File, start: u64) -> io::Result<()> {
    if start == 0 { Ok(()) } else { file.seek(SeekFrom::Start(start)).map(drop) }
}

fn read_exactly(file: &mut File, size_bytes: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(size_bytes as usize);
    file.take(size_bytes).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == size_bytes { Ok(bytes.into()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
