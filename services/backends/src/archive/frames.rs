//! The file of an archive: frames that are each whole or not there, so that one that was cut off can be continued.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    rc::Rc,
};

use shared::{ImageId, ImageRecord};

use super::{EntryKind, Manifest};
use crate::records::MAX_RECORD_BYTES;

/// Images are compressed already; more effort would gain nothing.
const LEVEL: i32 = 1;
const BLOCK_BYTES: u64 = 512;
const MAX_MANIFEST_BYTES: u64 = 64 << 10;

/// Writes the entries of one frame, and nothing when `fill` fails: the file is cut back to where the frame began.
pub(super) fn write_frame<E: From<io::Error>>(
    file: &mut File,
    fill: impl FnOnce(&mut FrameWriter<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let start = file.stream_position()?;
    let written = fill_frame(file, fill);
    if written.is_err() {
        file.set_len(start)?;
        file.seek(SeekFrom::Start(start))?;
    }
    written
}

fn fill_frame<E: From<io::Error>>(
    file: &mut File,
    fill: impl FnOnce(&mut FrameWriter<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut encoder = zstd::Encoder::new(file, LEVEL)?;
    encoder.include_checksum(true)?;
    let mut writer = FrameWriter { encoder };
    fill(&mut writer)?;
    writer.encoder.finish()?;
    Ok(())
}

pub(super) struct FrameWriter<'a> {
    encoder: zstd::Encoder<'static, &'a mut File>,
}

impl FrameWriter<'_> {
    pub(super) fn entry(&mut self, kind: EntryKind, bytes: &[u8]) -> io::Result<()> {
        self.begin(kind, bytes.len() as u64)?;
        self.write(bytes)?;
        self.end(bytes.len() as u64)
    }

    /// Begins an entry: exactly `size_bytes` must be written before `end`.
    pub(super) fn begin(&mut self, kind: EntryKind, size_bytes: u64) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_path(kind.name())?;
        header.set_size(size_bytes);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        self.write(header.as_bytes())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.encoder.write_all(bytes)
    }

    pub(super) fn end(&mut self, size_bytes: u64) -> io::Result<()> {
        let padding_bytes = size_bytes.next_multiple_of(BLOCK_BYTES) - size_bytes;
        self.write(&[0; BLOCK_BYTES as usize][..padding_bytes as usize])
    }

    /// What every tar archive ends with.
    pub(super) fn end_archive(&mut self) -> io::Result<()> {
        self.write(&[0; 2 * BLOCK_BYTES as usize])
    }
}

/// What a file that was cut off holds.
#[derive(Default)]
pub(super) struct Whole {
    pub(super) manifest: Option<Manifest>,
    pub(super) images: u64,
    /// Present images without their bytes.
    pub(super) without_original: u64,
    pub(super) last_image: Option<ImageId>,
    /// Where its last whole frame ends.
    pub(super) bytes: u64,
}

/// Reads the frames of a file, checksums included, up to the first one that is not whole.
pub(super) fn find_whole_frames(file: &File) -> io::Result<Whole> {
    let mut reader = Counted::new(BufReader::with_capacity(1 << 20, file));
    let mut whole = Whole::default();
    while !reader.fill_buf()?.is_empty() {
        // A frame that can't be read is what an interruption leaves; it is written again.
        let Ok(frame) = read_frame(&mut reader) else { break };
        match frame {
            Frame { manifest: Some(manifest), .. } if whole.bytes == 0 => whole.manifest = Some(manifest),
            Frame { image: Some(image_id), is_present, has_original, .. } if whole.manifest.is_some() => {
                whole.images += 1;
                whole.without_original += u64::from(is_present && !has_original);
                whole.last_image = Some(image_id);
            }
            _ => break,
        }
        whole.bytes = reader.bytes.get();
    }
    Ok(whole)
}

#[derive(Default)]
struct Frame {
    manifest: Option<Manifest>,
    image: Option<ImageId>,
    is_present: bool,
    has_original: bool,
}

fn read_frame(reader: &mut Counted<BufReader<&File>>) -> io::Result<Frame> {
    let mut decoder = zstd::Decoder::with_buffer(&mut *reader)?.single_frame();
    let mut frame = Frame::default();
    {
        let mut archive = tar::Archive::new(&mut decoder);
        for entry in archive.entries()? {
            let mut entry = entry?;
            match EntryKind::parse(&String::from_utf8_lossy(&entry.path_bytes())) {
                Some(EntryKind::Manifest) => {
                    frame.manifest = serde_json::from_reader(entry.by_ref().take(MAX_MANIFEST_BYTES)).ok();
                }
                Some(EntryKind::Record(image_id)) => {
                    let record: Result<ImageRecord, _> = serde_json::from_reader(entry.by_ref().take(MAX_RECORD_BYTES));
                    frame.image = Some(image_id);
                    frame.is_present = record.is_ok_and(|record| record.document().is_some());
                }
                Some(EntryKind::Original(_)) => frame.has_original = true,
                _ => {}
            }
            // Read rather than skipped: an entry that is cut off must show.
            io::copy(&mut entry, &mut io::sink())?;
        }
    }
    io::copy(&mut decoder, &mut io::sink())?;
    decoder.finish_frame()?;
    Ok(frame)
}

/// Counts what is consumed.
pub(super) struct Counted<R> {
    inner: R,
    pub(super) bytes: Rc<Cell<u64>>,
}

impl<R> Counted<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, bytes: Rc::default() }
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.update(|bytes| bytes + read as u64);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.bytes.update(|consumed| consumed + bytes as u64);
        self.inner.consume(bytes);
    }
}
