//! `icomm record mapping`: what the columns of a file mean, as clerks write it down.

use std::{fs, path::Path, sync::Arc};

use clap::{Args, Subcommand};
use icomm_proto::codes::CodeLists;
use serde_json::json;

use crate::{
    causes::chain,
    cli::{Context, Exit, Failure, files, output::table},
    intake::Mapping,
};

/// Mappings: what the columns of a file mean
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum MappingCommand {
    List(List),
    Show(Show),
}

/// The mappings there are: built in, and in the node's `mappings` folder
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  icomm record mapping list")]
pub(in crate::cli) struct List {}

/// Print a mapping, to read, copy and adapt
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  icomm record mapping show unodc-ids > icomm/mappings/ours.toml")]
pub(in crate::cli) struct Show {
    /// The mapping's name, or the path of one (*.toml)
    name: String,
    /// Only the header row of an empty file for it
    #[arg(long)]
    template: bool,
}

impl MappingCommand {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::List(List {}) => list(context)?,
            Self::Show(Show { name, template: true }) => {
                let mapping = named(context, &name)?;
                context
                    .output
                    .answer(&json!(mapping.template()), || mapping.template().join(","))?;
            }
            Self::Show(Show { name, template: false }) => {
                let text = text_of(context, &name)?;
                context
                    .output
                    .answer(&json!({ "name": name, "text": text }), || text.trim_end().to_owned())?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// The mapping of this name, or at this path.
pub(super) fn named(context: &Context, name: &str) -> Result<Mapping, Failure> {
    Mapping::parse(&text_of(context, name)?, &Arc::new(CodeLists::built_in()))
        .map_err(|error| Failure::new(format_args!("mapping `{name}`: {}", chain(&error))))
}

fn text_of(context: &Context, name: &str) -> Result<String, Failure> {
    let path = Path::new(name);
    if path.extension().is_some_and(|extension| extension == "toml") {
        return files::read_text(path);
    }
    // A name is never a path: what it may reach is one file of one folder.
    if let Ok(config) = context.config()
        && !name.contains(['/', '\\', '.'])
    {
        let own = config.intake.mappings.join(format!("{name}.toml"));
        if own.is_file() {
            return files::read_text(&own);
        }
    }
    Mapping::builtin_text(name).map(str::to_owned).map_err(|error| {
        Failure::because(&error)
            .advice("own ones lie in the node's folder `mappings`, or are named by their path (*.toml)")
    })
}

fn list(context: &Context) -> Result<(), Failure> {
    let mut names: Vec<(String, &str)> = Mapping::builtin_names()
        .map(|name| (name.to_owned(), "built in"))
        .collect();
    if let Ok(entries) = context
        .config()
        .and_then(|config| Ok(fs::read_dir(config.intake.mappings)?))
    {
        for entry in entries {
            let path = entry?.path();
            if let (Some(stem), Some("toml")) = (path.file_stem(), path.extension().and_then(|end| end.to_str())) {
                let name = stem.to_string_lossy().into_owned();
                names.retain(|(known, _)| *known != name);
                names.push((name, "own"));
            }
        }
    }
    names.sort();
    let mut rows = table(["mapping", "whose", "for"]);
    let mut all = Vec::new();
    for (name, whose) in names {
        let title =
            named(context, &name).map_or_else(|error| error.what().to_owned(), |found| found.title().to_owned());
        all.push(json!({ "name": name, "whose": whose, "title": title }));
        rows.add_row([name, whose.to_owned(), title]);
    }
    context.output.answer(&json!(all), || rows)
}
