//! The command line: what can be said, and the help that teaches it.

use std::ffi::OsString;

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand};
use shared::{ImageId, TaskId, http::Scope};
use url::Url;

const EXAMPLES: &str = "\
Examples:
  imagesearch up                               all in one process, page on http://localhost:3000
  imagesearch ingest ~/Pictures                upload a folder with all below it
  imagesearch search \"a giraffe\"               the best matches for words
  imagesearch search --image cat.jpg           the best matches for a picture
  imagesearch status                           what is indexed, waiting and failed

Exit codes:
  0  done
  1  something failed; the rest is done
  2  the command line is not understood
  3  the server can't be reached
  4  a key is needed, or the key may not do this
  5  what was asked for is not there
  6  the model can't be used
  130  interrupted

With --json, errors are JSON as well, on standard error.";

/// Image search by words and by pictures.
#[derive(Debug, Parser)]
#[command(name = "imagesearch", version, after_help = EXAMPLES, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process: API, worker, images and UI
    Up(ConfigArgs),
    /// Run one role of a cluster: uploads, changes and deletes
    Ingestapi(ConfigArgs),
    /// Run one role of a cluster: decodes, embeds and indexes what was uploaded
    Ingestworker(ConfigArgs),
    /// Run one role of a cluster: searches and lists
    Searchapi(ConfigArgs),
    /// Run one role of a cluster: originals and resized copies
    Cdnapi(ConfigArgs),
    /// Upload images: files, folders with all below them, URLs, or `-` for a list on standard input
    Ingest(IngestArgs),
    /// Find images by words, by a picture, or by both
    Search(SearchArgs),
    /// Show what is indexed, waiting and failed, or one task
    Status(StatusArgs),
    /// Delete images
    Delete(DeleteArgs),
    /// Write everything that is stored into one archive
    Export(ExportArgs),
    /// Bring in an archive made by `export`
    Import(ImportArgs),
    /// Build index and task states anew from the stored images
    Reindex(ConfigArgs),
    /// Compare stored images, index and tasks; exit with 1 when they differ
    Check(CheckArgs),
    /// Fetch and check models
    Model(ModelArgs),
    /// Make, list and revoke API keys
    Keys(KeysArgs),
    /// Print the configuration in effect, secrets hidden
    Config(ConfigArgs),
    /// Ask the process of this configuration whether it is ready; exit with 3 when it is not
    Health(ConfigArgs),
    /// Print the OpenAPI 3.1 document of the HTTP API
    Openapi,
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  imagesearch completions bash > ~/.local/share/bash-completion/completions/imagesearch"
    )]
    Completions { shell: clap_complete::Shell },
}

/// Where settings come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArgs {
    /// YAML file with settings; `conf/imagesearch.yaml`, or that of the role, when there is one
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<Utf8PathBuf>,
    /// Folder for everything that is kept
    #[arg(long, global = true, value_name = "DIR", value_parser = parse_folder)]
    pub data_dir: Option<Utf8PathBuf>,
}

/// Which server to talk to.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// The server's address
    #[arg(long, env = "IMAGESEARCH_SERVER", default_value = "http://localhost:3000", value_name = "URL", value_parser = parse_server)]
    pub server: Url,
    /// File with the API key; the variable `IMAGESEARCH_API_KEY` holds it otherwise
    #[arg(long, env = "IMAGESEARCH_API_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<Utf8PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// Files, folders, `http(s)://` URLs, or `-`
    #[arg(required = true, value_name = "PATH|URL|-")]
    pub sources: Vec<OsString>,
    /// Tag for every image; can be given more than once
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Own field for every image, `name=value`; numbers, true and false are taken as such
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = parse_field)]
    pub fields: Vec<(String, serde_json::Value)>,
    /// Uploads under way at once
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Return once everything is accepted, not once it can be found
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// What the images should show
    #[arg(required_unless_present_any = ["image", "like"], value_name = "TEXT")]
    pub text: Option<String>,
    /// A picture to find similar ones of; TEXT refines it
    #[arg(long, value_name = "FILE", group = "picture")]
    pub image: Option<Utf8PathBuf>,
    /// Id of an indexed image to find similar ones of; TEXT refines it
    #[arg(long, value_name = "IMAGE_ID", group = "picture")]
    pub like: Option<ImageId>,
    /// Weight of TEXT beside a picture, 0 to 1
    #[arg(long, value_name = "WEIGHT", requires_all = ["picture", "text"])]
    pub text_weight: Option<f32>,
    /// Number of results
    #[arg(long, short = 'n', default_value_t = 10)]
    pub limit: usize,
    /// Results to skip
    #[arg(long, default_value_t = 0)]
    pub offset: usize,
    /// Leave out results below this score
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub min_score: Option<f32>,
    /// Leave out results below this relevance, 0 to 1
    #[arg(long, value_name = "RELEVANCE")]
    pub min_relevance: Option<f32>,
    /// Filter, for example `tags:"cat" AND width >= 1000`
    #[arg(long, value_name = "FILTER")]
    pub filter: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// One task; everything when absent
    pub task_id: Option<TaskId>,
    /// List failed tasks with their reasons
    #[arg(long, conflicts_with = "task_id")]
    pub failed: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// Ids of the images
    #[arg(required = true, value_name = "IMAGE_ID")]
    pub image_ids: Vec<ImageId>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The archive; an unfinished one is continued
    #[arg(value_name = "FILE.tar.zst")]
    pub file: Utf8PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The archive; what is there already is skipped
    #[arg(value_name = "FILE.tar.zst")]
    pub file: Utf8PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Mend what differs
    #[arg(long)]
    pub repair: bool,
    /// Also read every original and compare its bytes with its id
    #[arg(long)]
    pub deep: bool,
    /// Nobody else uses the stores now: what an upload under way could still need is a difference too. Stores of one process
    /// are always checked like this, since nobody else can use them
    #[arg(long)]
    pub idle: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    #[command(subcommand)]
    pub command: ModelCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Fetch the configured model for all processes: check it, and put it into the object store that they share. When it is
    /// there and whole, nothing is done
    #[command(
        after_help = "Example:\n  IMAGESEARCH_MODEL__SOURCE=hf://Xenova/clip-vit-base-patch32 imagesearch model fetch"
    )]
    Fetch(ConfigArgs),
    /// Change the model of a running server: its images are indexed anew beside the current index, and searches move over when
    /// all are there. Asking for the current model cancels, for the one of before goes back
    #[command(
        name = "use",
        after_help = "Examples:\n  imagesearch model use hf://Xenova/clip-vit-base-patch32\n  imagesearch model use bundled\n\nIt stays when the server is started again, until its configuration names another one."
    )]
    Use {
        #[command(flatten)]
        server: ServerArgs,
        /// `bundled`, a folder, an archive's URL, `hf://org/repo@revision` or `s3://bucket/folder`, as the server reaches it
        source: String,
        /// SHA-256 of the archive
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
        /// Return once the server has taken it, not once searches use it
        #[arg(long)]
        no_wait: bool,
    },
    /// Of roles on their own: bring the stored images into the collection of the configured model, until it has all that
    /// `model.beside` has. It may be stopped and run again
    #[command(
        after_help = "Example:\n  IMAGESEARCH_MODEL__SOURCE=./larger IMAGESEARCH_MODEL__BESIDE__SOURCE=bundled imagesearch model fill --config conf/ingestworker.yaml\n\ndocs/models.md tells what comes before and after."
    )]
    Fill(ConfigArgs),
    /// Of roles on their own: remove what the configured model has indexed, when `model.beside` is searched instead
    #[command(
        after_help = "Example:\n  IMAGESEARCH_MODEL__SOURCE=bundled IMAGESEARCH_MODEL__BESIDE__SOURCE=./larger imagesearch model remove --config conf/ingestworker.yaml"
    )]
    Remove(ConfigArgs),
    /// Fetch a model if needed, load it and check what it computes
    #[command(
        after_help = "Examples:\n  imagesearch model verify bundled\n  imagesearch model verify hf://Xenova/clip-vit-base-patch32@main\n  imagesearch model verify ./my-model"
    )]
    Verify {
        #[command(flatten)]
        config: ConfigArgs,
        /// `bundled`, a folder, an archive's URL, `hf://org/repo@revision` or `s3://bucket/folder`; the configured one when absent
        source: Option<String>,
    },
    /// List the model in use (*), those in the cache of this machine, and those that processes share in the object store
    #[command(after_help = "Example:\n  imagesearch model list --data-dir data")]
    List(ConfigArgs),
    /// Measure two models side by side: how well they find what queries should find, how fast, and with how much memory
    Compare(CompareArgs),
    /// Measure one model by a plan on standard input; `compare` runs it
    #[command(hide = true)]
    Measure {
        #[command(flatten)]
        config: ConfigArgs,
        source: String,
    },
}

const COMPARE: &str = "\
Each line of FILE is a query, a tab, and an image that it should find: a path from FILE's folder, or the id of a stored image.

  a giraffe in the savanna\tgiraffe.jpg
  two cats on a sofa\tphotos/cats.jpg

The same as JSON, an object a line or a list: {\"query\": \"a giraffe\", \"image\": \"giraffe.jpg\"}. The models search among
all these images and a sample of those stored in the deployment that the configuration names, if there is one; it may be
running. Recall@5 is the share of queries whose image is among the first five; MRR the mean of 1 / its place. An interval
that holds 0 means that these queries can't tell the two apart.

Examples:
  imagesearch model compare bundled hf://Xenova/clip-vit-base-patch32 --queries queries.tsv
  imagesearch model compare ./small ./large --queries captions.json --images 5000 --json";

#[derive(Debug, Args)]
#[command(after_help = COMPARE)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// A model: `bundled`, a folder, an archive's URL, `hf://org/repo@revision` or `s3://bucket/folder`
    #[arg(value_name = "A")]
    pub a: String,
    /// The model that may take its place
    #[arg(value_name = "B")]
    pub b: String,
    /// What is searched for, and what it should find
    #[arg(long, value_name = "FILE")]
    pub queries: Utf8PathBuf,
    /// Stored images to search among, besides those of the queries
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub images: usize,
}

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(subcommand)]
    pub command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; it is shown this once
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do: `read`, `ingest`, `delete`, `admin`; can be given more than once
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<Scope>,
    },
    /// List keys, never their secrets
    List,
    /// Revoke a key; servers notice within a second
    Revoke {
        /// The key's id, from `keys list`
        id: String,
    },
}

/// `localhost:3000` is what people type; without a scheme it would be read as one called `localhost`.
fn parse_server(text: &str) -> Result<Url, String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    url.parse().ok().filter(is_http).ok_or_else(|| "write it as http://host:port".to_owned())
}

fn parse_folder(text: &str) -> Result<Utf8PathBuf, String> {
    if text.is_empty() { Err("it must name a folder".to_owned()) } else { Ok(text.into()) }
}

fn parse_field(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    // Only scalars are taken as JSON: `x=[1]` stays the text that it looks like.
    let scalar =
        serde_json::from_str(value).ok().filter(|value: &serde_json::Value| value.is_number() || value.is_boolean());
    Ok((name.to_owned(), scalar.unwrap_or_else(|| value.into())))
}
