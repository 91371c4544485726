//! The images that tests upload.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// An image of the fixtures that are hard to decode.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/images").join(name)).unwrap()
}

/// The fixture photos by their names.
pub(crate) fn photos() -> Vec<(String, Vec<u8>)> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/photos");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut photos: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "jpg"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect();
    photos.sort();
    photos
}

/// Another image that looks the same: bytes after the end of a JPEG are not looked at.
pub(crate) fn again(photo: &[u8], number: usize) -> Vec<u8> {
    [photo, number.to_string().as_bytes()].concat()
}
