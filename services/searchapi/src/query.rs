//! Parameters of searches and lists, as they come in a query string, and what they mean.

use backends::index::{ListQuery, Order};
use serde::Deserialize;
use shared::{
    filter::{self, Filter},
    http::Problem,
};
use utoipa::{IntoParams, ToSchema};

use crate::search::Window;

const DEFAULT_LIMIT: usize = 20;

/// Which of the matches are wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct WindowParams {
    /// Number of results; 20 when absent, at most 1000.
    #[param(minimum = 1, maximum = 1000)]
    #[schema(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<usize>,
    /// Results to skip. Offset and limit together reach no further than 16384.
    #[param(maximum = 16383)]
    #[schema(maximum = 16383)]
    pub(crate) offset: Option<usize>,
    /// Leave out results with a lower cosine similarity.
    pub(crate) min_score: Option<f32>,
    /// Leave out results of a lower relevance. Works alike with every model.
    #[param(minimum = 0.0, maximum = 1.0)]
    #[schema(minimum = 0.0, maximum = 1.0)]
    pub(crate) min_relevance: Option<f32>,
    /// AIP-160 filter, for example `tags:"cat" AND width >= 1000`.
    pub(crate) filter: Option<String>,
}

/// A search by words. The window's fields stand here again because flattened numbers can't be read from a query string.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct TextQuery {
    /// What the images should show.
    #[param(required = true, min_length = 1, example = "a giraffe")]
    pub(crate) text: String,
    /// Number of results; 20 when absent, at most 1000.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<usize>,
    /// Results to skip. Offset and limit together reach no further than 16384.
    #[param(maximum = 16383)]
    pub(crate) offset: Option<usize>,
    /// Leave out results with a lower cosine similarity.
    pub(crate) min_score: Option<f32>,
    /// Leave out results of a lower relevance. Works alike with every model.
    #[param(minimum = 0.0, maximum = 1.0)]
    pub(crate) min_relevance: Option<f32>,
    /// AIP-160 filter, for example `tags:"cat" AND width >= 1000`.
    pub(crate) filter: Option<String>,
}

/// Order of a list.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
pub(crate) enum ListOrder {
    #[default]
    #[serde(rename = "created desc")]
    Newest,
    #[serde(rename = "created")]
    Oldest,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// AIP-160 filter, for example `tags:"cat" AND width >= 1000`.
    pub(crate) filter: Option<String>,
    /// `created desc` (newest first) when absent.
    #[param(inline)]
    pub(crate) order: ListOrder,
    /// `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
    /// Number of images; 20 when absent, at most 1000.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<usize>,
}

impl WindowParams {
    pub(crate) fn window(self) -> Result<Window, Problem> {
        Ok(Window {
            limit: self.limit.unwrap_or(DEFAULT_LIMIT),
            offset: self.offset.unwrap_or(0),
            min_score: self.min_score,
            min_relevance: self.min_relevance,
            filter: parse_filter(self.filter.as_deref())?,
        })
    }
}

impl TextQuery {
    pub(crate) fn split(self) -> (String, WindowParams) {
        let Self { text, limit, offset, min_score, min_relevance, filter } = self;
        (text, WindowParams { limit, offset, min_score, min_relevance, filter })
    }
}

impl ListParams {
    pub(crate) fn query(self) -> Result<ListQuery, Problem> {
        let order = match self.order {
            ListOrder::Newest => Order::Newest,
            ListOrder::Oldest => Order::Oldest,
        };
        let filter = parse_filter(self.filter.as_deref())?;
        Ok(ListQuery { filter, order, cursor: self.cursor, limit: self.limit.unwrap_or(DEFAULT_LIMIT) })
    }
}

/// An absent or blank filter lets everything pass.
fn parse_filter(text: Option<&str>) -> Result<Option<Filter>, Problem> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    filter::parse(text).map(Some).map_err(|fault| Problem::invalid_filter(fault.to_string(), fault.column))
}
