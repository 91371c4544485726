//! What models are compared by: texts, and the images that they should find among others.

use std::collections::HashMap;

use anyhow::Context as _;
use backends::{keys, records::Records, stores};
use camino::{Utf8Path, Utf8PathBuf};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use shared::{ImageId, config::Config};

use crate::exit::{CommandError, Failure};

/// Everything that a model is asked; the same for each.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) queries: Vec<Query>,
    /// Those of the queries, then those that are only there to be told apart from them. None twice.
    pub(super) pictures: Vec<Picture>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Query {
    pub(super) text: String,
    /// Places of the pictures that it should find.
    pub(super) targets: Vec<usize>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Picture {
    File(Utf8PathBuf),
    Stored(ImageId),
}

/// A query as it is written; the other names are those that lists of captions use.
#[derive(Debug, PartialEq, Deserialize)]
struct Pair {
    #[serde(alias = "caption")]
    query: String,
    #[serde(alias = "file")]
    image: String,
}

impl Plan {
    /// The queries in a file, and up to `sample` other images of the deployment that the configuration names.
    pub(super) async fn read(file: &Utf8Path, config: &Config, sample: usize) -> anyhow::Result<Self> {
        let text =
            tokio::fs::read_to_string(file).await.with_context(|| format!("cannot read the queries in {file}"))?;
        let pairs = parse(&text).with_context(|| format!("the queries in {file} can't be understood"))?;
        let mut draft = Draft::default();
        for Pair { query, image } in pairs {
            let (image_id, picture) = locate(file, &image).await?;
            draft.add_query(query, image_id, picture);
        }
        if sample > 0 || draft.plan.needs_store() {
            let records = stores::open_objects_for_reading(config).await?.map(Records::new);
            draft.check_stored(records.as_ref()).await?;
            if let Some(records) = records {
                draft.add_sample(&records, sample).await?;
            }
        }
        Ok(draft.plan)
    }

    pub(super) fn needs_store(&self) -> bool {
        self.pictures.iter().any(|picture| matches!(picture, Picture::Stored(_)))
    }
}

#[derive(Default)]
struct Draft {
    plan: Plan,
    places: HashMap<ImageId, usize>,
    /// Places of the queries.
    texts: HashMap<String, usize>,
}

impl Draft {
    /// The same text again is the same query, which should find either image.
    fn add_query(&mut self, text: String, image_id: ImageId, picture: Picture) {
        let target = self.add_picture(image_id, picture);
        let queries = &mut self.plan.queries;
        let place = *self.texts.entry(text).or_insert_with_key(|text| {
            queries.push(Query { text: text.clone(), targets: Vec::new() });
            queries.len() - 1
        });
        if !queries[place].targets.contains(&target) {
            queries[place].targets.push(target);
        }
    }

    fn add_picture(&mut self, image_id: ImageId, picture: Picture) -> usize {
        let pictures = &mut self.plan.pictures;
        *self.places.entry(image_id).or_insert_with(|| {
            pictures.push(picture);
            pictures.len() - 1
        })
    }

    async fn check_stored(&self, records: Option<&Records>) -> anyhow::Result<()> {
        for picture in &self.plan.pictures {
            let Picture::Stored(image_id) = picture else { continue };
            let record = match records {
                Some(records) => records.get(*image_id).await?,
                None => None,
            };
            if record.and_then(|record| record.searchable().cloned()).is_none() {
                let reason = format!("image {image_id} of the queries is not stored, or can't be indexed");
                return Err(CommandError::new(Failure::NotFound, reason).into());
            }
        }
        Ok(())
    }

    /// The first in the order of their ids are a random sample: an id is a hash of the image's bytes.
    async fn add_sample(&mut self, records: &Records, sample: usize) -> anyhow::Result<()> {
        let enough = self.plan.pictures.len() + sample;
        let mut listed = records.list(keys::RECORDS, None);
        while self.plan.pictures.len() < enough
            && let Some(stored) = listed.try_next().await?
        {
            if stored.record.is_ok_and(|record| record.searchable().is_some()) {
                self.add_picture(stored.image_id, Picture::Stored(stored.image_id));
            }
        }
        Ok(())
    }
}

/// An image as the file of queries names it: by a path from there, or by its id in the deployment.
async fn locate(file: &Utf8Path, image: &str) -> anyhow::Result<(ImageId, Picture)> {
    let path = file.with_file_name("").join(image);
    match (tokio::fs::read(&path).await, image.parse()) {
        (Ok(bytes), _) => Ok((ImageId::of(&bytes), Picture::File(path))),
        (Err(_), Ok(image_id)) => Ok((image_id, Picture::Stored(image_id))),
        (Err(error), Err(_)) => Err(error).with_context(|| format!("cannot read the image {path} of the queries")),
    }
}

fn parse(text: &str) -> anyhow::Result<Vec<Pair>> {
    let pairs: Vec<Pair> = match text.trim_start().chars().next() {
        Some('[') => serde_json::from_str(text)?,
        Some('{') => serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>()?,
        _ => {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            lines.map(|(index, line)| split(index + 1, line)).collect::<anyhow::Result<_>>()?
        }
    };
    anyhow::ensure!(!pairs.is_empty(), "there are none");
    Ok(pairs)
}

fn split(number: usize, line: &str) -> anyhow::Result<Pair> {
    let (query, image) = line
        .split_once('\t')
        .with_context(|| format!("line {number} has no tab between a query and the image that it should find"))?;
    Ok(Pair { query: query.trim().to_owned(), image: image.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn pair(query: &str, image: &str) -> Pair {
        Pair { query: query.to_owned(), image: image.to_owned() }
    }

    #[test]
    fn queries_are_read_in_each_form() {
        let expected = [pair("a cat", "cat.jpg"), pair("\"hens\", brown", "zoo/hens.jpg")];
        let forms = [
            "a cat\tcat.jpg\n\n\"hens\", brown\tzoo/hens.jpg\r\n",
            r#"{"query": "a cat", "image": "cat.jpg"}
               {"query": "\"hens\", brown", "image": "zoo/hens.jpg"}"#,
            r#"[{"file": "cat.jpg", "caption": "a cat", "tags": ["pet"]},
                {"file": "zoo/hens.jpg", "caption": "\"hens\", brown"}]"#,
        ];
        for form in forms {
            assert_eq!(parse(form).unwrap(), expected, "{form}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let told = |text| format!("{:#}", parse(text).unwrap_err());
        assert!(told("a cat\tcat.jpg\na dog dog.jpg").starts_with("line 2 has no tab"));
        assert!(told(r#"{"query": "a cat"}"#).starts_with("missing field `image`"));
        assert_eq!(told("\n"), "there are none");
    }

    #[test]
    fn a_text_that_stands_twice_is_one_query_and_bytes_that_are_there_twice_are_one_picture() {
        let mut draft = Draft::default();
        let (cat, dog) = (ImageId::of(b"cat"), ImageId::of(b"dog"));
        draft.add_query("a pet".into(), cat, Picture::File("cat.jpg".into()));
        draft.add_query("a pet".into(), dog, Picture::Stored(dog));
        draft.add_query("a pet".into(), cat, Picture::File("copy of cat.jpg".into()));
        assert_eq!(draft.plan.pictures, [Picture::File("cat.jpg".into()), Picture::Stored(dog)]);
        assert_eq!(draft.plan.queries, [Query { text: "a pet".into(), targets: vec![0, 1] }]);
    }
}
