//! The items of a HEIF file: which there are, what they are made of, how they belong together.
//! Everything is looked up where it stands, so a table however long takes no memory. Source: ISO/IEC 14496-12, 8.11.

use super::boxes::{Reader, boxes, find};

/// Of a kind of reference to one item; more are made only to keep a reader busy.
const MAX_REFERRERS: usize = 16;

pub(super) struct Items<'a> {
    file: &'a [u8],
    /// The content of the `meta` box, after its version.
    meta: &'a [u8],
}

impl<'a> Items<'a> {
    pub(super) fn read(file: &'a [u8]) -> Option<Self> {
        let meta = find(file, *b"meta")?.get(4..)?;
        Some(Self { file, meta })
    }

    pub(super) fn primary(&self) -> Option<u32> {
        let mut reader = Reader(find(self.meta, *b"pitm")?);
        let (version, _) = reader.version()?;
        id(&mut reader, version > 0)
    }

    /// The four letters that say how an item is coded.
    pub(super) fn kind(&self, item: u32) -> Option<[u8; 4]> {
        let mut reader = Reader(find(self.meta, *b"iinf")?);
        let (version, _) = reader.version()?;
        reader.bytes(if version == 0 { 2 } else { 4 })?;
        boxes(reader.0).filter(|(kind, _)| kind == b"infe").find_map(|(_, content)| {
            let mut reader = Reader(content);
            let (version, _) = reader.version()?;
            let found = id(&mut reader, version > 2)?;
            reader.u16()?;
            (version >= 2 && found == item).then(|| reader.kind()).flatten()
        })
    }

    /// Items that refer to `item` in the way that `kind` names.
    pub(super) fn referring_to(&self, item: u32, kind: [u8; 4]) -> impl Iterator<Item = u32> {
        self.references(kind).filter(move |(_, to)| *to == item).map(|(from, _)| from).take(MAX_REFERRERS)
    }

    pub(super) fn refers(&self, from: u32, kind: [u8; 4], to: u32) -> bool {
        self.references(kind).any(|reference| reference == (from, to))
    }

    fn references(&self, kind: [u8; 4]) -> impl Iterator<Item = (u32, u32)> {
        let mut reader = Reader(find(self.meta, *b"iref").unwrap_or_default());
        let wide = reader.version().is_some_and(|(version, _)| version > 0);
        boxes(reader.0).filter(move |(found, _)| *found == kind).flat_map(move |(_, content)| {
            let mut reader = Reader(content);
            let from = id(&mut reader, wide).unwrap_or_default();
            let count = reader.u16().unwrap_or_default();
            (0..count).map_while(move |_| Some((from, id(&mut reader, wide)?)))
        })
    }

    /// Type and content of each property of an item, in the order in which they apply; at most 255.
    pub(super) fn properties(&self, item: u32) -> Vec<([u8; 4], &'a [u8])> {
        let Some(all) = find(self.meta, *b"iprp") else { return Vec::new() };
        let Some(store) = find(all, *b"ipco") else { return Vec::new() };
        boxes(all)
            .filter(|(kind, _)| kind == b"ipma")
            .find_map(|(_, content)| associations(content, item))
            .unwrap_or_default()
            .into_iter()
            .filter_map(|number| boxes(store).nth(number.checked_sub(1)?))
            .collect()
    }

    /// The bytes of an item, put together from its parts; `None` when they aren't all there.
    pub(super) fn content(&self, item: u32) -> Option<Vec<u8>> {
        let (in_meta, parts) = locate(find(self.meta, *b"iloc")?, item)?;
        let source = if in_meta { find(self.meta, *b"idat")? } else { self.file };
        // Parts can overlap; what is longer than where it comes from is a trick.
        let total = parts.iter().try_fold(0usize, |sum, (_, length)| sum.checked_add(*length))?;
        if total > source.len() {
            return None;
        }
        let mut content = Vec::with_capacity(total);
        for (start, length) in parts {
            content.extend(source.get(start..start.checked_add(length)?)?);
        }
        Some(content)
    }
}

fn id(reader: &mut Reader<'_>, wide: bool) -> Option<u32> {
    if wide { reader.u32() } else { reader.u16().map(u32::from) }
}

/// Numbers (from 1) of an item's properties.
fn associations(content: &[u8], item: u32) -> Option<Vec<usize>> {
    const LARGE_NUMBERS: u32 = 1;
    let mut reader = Reader(content);
    let (version, flags) = reader.version()?;
    let large = flags & LARGE_NUMBERS != 0;
    for _ in 0..reader.u32()? {
        let found = id(&mut reader, version > 0)?;
        let count = usize::from(reader.u8()?);
        let mut numbers = Reader(reader.bytes(if large { count * 2 } else { count })?);
        if found == item {
            // The highest bit says that the property matters; all that we know do.
            let number =
                |_| Some(usize::from(if large { numbers.u16()? & 0x7fff } else { u16::from(numbers.u8()? & 0x7f) }));
            return (0..count).map(number).collect();
        }
    }
    None
}

/// Whether an item lies in the `idat` box rather than in the file, and offset and length of its parts.
fn locate(content: &[u8], item: u32) -> Option<(bool, Vec<(usize, usize)>)> {
    const IN_FILE: u16 = 0;
    const IN_META: u16 = 1;
    let mut reader = Reader(content);
    let (version, _) = reader.version()?;
    let sizes = reader.u16()?;
    let size = |shift: u16| usize::from((sizes >> shift) & 0xf);
    let (offset_size, length_size, base_size) = (size(12), size(8), size(4));
    let index_size = if version == 0 { 0 } else { size(0) };
    if [offset_size, length_size, base_size, index_size].into_iter().any(|size| size > 8) {
        return None;
    }
    for _ in 0..id(&mut reader, version > 1)? {
        let found = id(&mut reader, version > 1)?;
        let method = if version == 0 { IN_FILE } else { reader.u16()? & 0xf };
        let other_file = reader.u16()? != 0;
        let base = reader.number(base_size)?;
        let count = usize::from(reader.u16()?);
        let part_size = index_size + offset_size + length_size;
        let mut parts = Reader(reader.bytes(count * part_size)?);
        if found != item {
            continue;
        }
        if other_file || method > IN_META || length_size == 0 {
            return None;
        }
        let part = |_| {
            parts.bytes(index_size)?;
            let start = base.checked_add(parts.number(offset_size)?)?;
            Some((usize::try_from(start).ok()?, usize::try_from(parts.number(length_size)?).ok()?))
        };
        return Some((method == IN_META, (0..count).map(part).collect::<Option<_>>()?));
    }
    None
}
