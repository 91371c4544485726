//! The boxes that ISO base media files are made of, read in place. Source: ISO/IEC 14496-12, 4.2.

/// Reads big-endian numbers one after the other; `None` once there are no more bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A number of 0 to 8 bytes.
    pub(super) fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(self.bytes(bytes)?.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        Some(self.number(1)? as u8)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(self.number(2)? as u16)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(self.number(4)? as u32)
    }

    pub(super) fn kind(&mut self) -> Option<[u8; 4]> {
        self.bytes(4)?.try_into().ok()
    }

    /// The version and flags that a full box starts with.
    pub(super) fn version(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        Some(((word >> 24) as u8, word & 0x00ff_ffff))
    }
}

/// A box's type and content, up to the first that isn't whole.
pub(super) fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut reader = Reader(bytes);
    std::iter::from_fn(move || {
        let size = reader.u32()?;
        let kind = reader.kind()?;
        let content = match size {
            // The box reaches to the end of what holds it.
            0 => reader.0.len(),
            1 => usize::try_from(reader.number(8)?.checked_sub(16)?).ok()?,
            size => (size as usize).checked_sub(8)?,
        };
        Some((kind, reader.bytes(content)?))
    })
}

pub(super) fn find(bytes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    boxes(bytes).find(|(found, _)| *found == kind).map(|(_, content)| content)
}
