//! Archives, unpacked without trust: plain files only, never outside the folder, never more than the limit.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek},
};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::FetchError;

/// No model has as many files; an archive of a million empty ones would fill a disk's inodes.
const MAX_FILES: usize = 10_000;
/// A tar's own mark, `ustar`, stands here.
const TAR_MARK: std::ops::Range<usize> = 257..262;

/// Unpacks a tar, tar.gz, tar.zst or zip into the new folder `to`; which one is read off its first bytes. `name` is for
/// error texts. Gives the folder that holds the model: `to`, or the only folder in it.
pub(super) fn unpack(archive: &Utf8Path, name: &str, to: &Utf8Path, max_bytes: u64) -> Result<Utf8PathBuf, FetchError> {
    let read = FetchError::storage(archive);
    let mut file = File::open(archive).map_err(read)?;
    let mut start = Vec::new();
    file.by_ref().take(TAR_MARK.end as u64).read_to_end(&mut start).map_err(FetchError::storage(archive))?;
    file.rewind().map_err(FetchError::storage(archive))?;
    let file = BufReader::new(file);
    let mut unpacker = Unpacker { name, folder: to, left_bytes: max_bytes, max_bytes, left_files: MAX_FILES };
    match start.as_slice() {
        [0x1f, 0x8b, ..] => unpacker.tar(flate2::bufread::MultiGzDecoder::new(file)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = zstd::Decoder::with_buffer(file).map_err(|error| unpacker.damaged(error.to_string()))?;
            unpacker.tar(decoder)
        }
        [b'P', b'K', 3, 4, ..] => unpacker.zip(file),
        start if start.get(TAR_MARK) == Some(b"ustar") => unpacker.tar(file),
        _ => Err(unpacker.damaged("it is not a tar, tar.gz, tar.zst or zip")),
    }?;
    model_folder(to)
}

struct Unpacker<'a> {
    name: &'a str,
    folder: &'a Utf8Path,
    left_bytes: u64,
    max_bytes: u64,
    left_files: usize,
}

impl Unpacker<'_> {
    fn damaged(&self, reason: impl Into<String>) -> FetchError {
        FetchError::Archive { archive: self.name.to_owned(), reason: reason.into() }
    }

    fn tar(&mut self, stream: impl Read) -> Result<(), FetchError> {
        let mut archive = tar::Archive::new(stream);
        let entries = archive.entries().map_err(|error| self.damaged(error.to_string()))?;
        for entry in entries {
            let mut entry = entry.map_err(|error| self.damaged(error.to_string()))?;
            let kind = entry.header().entry_type();
            if kind.is_dir() || kind.is_pax_global_extensions() {
                continue;
            }
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            // A link could point anywhere, and the next entry write through it.
            if !kind.is_file() {
                return Err(self.damaged(format!("{path:?} is a link or a device; only plain files are taken")));
            }
            self.store(&path, &mut entry)?;
        }
        Ok(())
    }

    fn zip(&mut self, file: impl Read + Seek) -> Result<(), FetchError> {
        let mut archive = zip::ZipArchive::new(file).map_err(|error| self.damaged(error.to_string()))?;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(|error| self.damaged(error.to_string()))?;
            if entry.is_dir() {
                continue;
            }
            let path = entry.name().map_err(|error| self.damaged(error.to_string()))?.into_owned();
            if !entry.is_file() {
                return Err(self.damaged(format!("{path:?} is a link; only plain files are taken")));
            }
            self.store(&path, &mut entry)?;
        }
        Ok(())
    }

    /// Writes one file. What an archive says about sizes isn't believed; bytes are counted.
    fn store(&mut self, name: &str, content: &mut impl Read) -> Result<(), FetchError> {
        let path = self.inside(name)?;
        self.left_files =
            self.left_files.checked_sub(1).ok_or_else(|| self.damaged(format!("it has over {MAX_FILES} files")))?;
        let parent = path.parent().unwrap_or(self.folder);
        fs::create_dir_all(parent).map_err(FetchError::storage(parent))?;
        let mut file = File::create_new(&path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => self.damaged(format!("{name:?} is in it twice")),
            _ => FetchError::storage(&path)(error),
        })?;
        // One byte more than allowed tells "just fits" from "goes on".
        let written = io::copy(&mut content.take(self.left_bytes.saturating_add(1)), &mut file);
        let written = written.map_err(|error| self.damaged(format!("{name:?}: {error}")))?;
        self.left_bytes = self
            .left_bytes
            .checked_sub(written)
            .ok_or_else(|| FetchError::TooLarge { url: self.name.to_owned(), limit_bytes: self.max_bytes })?;
        file.sync_all().map_err(FetchError::storage(&path))
    }

    fn inside(&self, name: &str) -> Result<Utf8PathBuf, FetchError> {
        let mut path = self.folder.to_owned();
        for component in Utf8Path::new(name).components() {
            match component {
                Utf8Component::CurDir => (),
                Utf8Component::Normal(part) if !part.contains('\\') => path.push(part),
                _ => return Err(self.damaged(format!("{name:?} points outside the archive"))),
            }
        }
        if path == self.folder { Err(self.damaged(format!("{name:?} is no file name"))) } else { Ok(path) }
    }
}

/// Most archives have one folder around everything.
fn model_folder(unpacked: &Utf8Path) -> Result<Utf8PathBuf, FetchError> {
    fs::create_dir_all(unpacked).map_err(FetchError::storage(unpacked))?;
    let entries: Vec<_> =
        unpacked.read_dir_utf8().and_then(Iterator::collect::<io::Result<_>>).map_err(FetchError::storage(unpacked))?;
    match entries.as_slice() {
        [only] if only.path().is_dir() => Ok(only.path().to_owned()),
        _ => Ok(unpacked.to_owned()),
    }
}
