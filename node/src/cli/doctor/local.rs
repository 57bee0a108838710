//! What can be checked without the node: the identity's files.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use icomm_proto::v1;

use super::{ERROR, OK, WARNING, check};
use crate::config::{Config, Identity};

/// Who else may read a file.
const OTHERS: u32 = 0o077;

/// Checks every file that the settings' `[identity]` names.
pub(super) fn checks(config: &Config) -> Vec<v1::Check> {
    let Identity {
        member_key,
        node_key,
        enrolment,
        root,
        bundle,
        log: _,
    } = &config.identity;
    vec![
        key("member key", member_key),
        key("node keys", node_key),
        document("certificates", enrolment),
        document("pinned root", root),
        document("trust bundle file", bundle),
    ]
}

fn key(name: &str, path: &Path) -> v1::Check {
    match fs::metadata(path) {
        Ok(file) if file.mode() & OTHERS != 0 => {
            let finding = format!(
                "other users may open `{}` (mode {:o})",
                path.display(),
                file.mode() & 0o777
            );
            check(
                name,
                ERROR,
                finding,
                "`chmod 600` it; if others had access, ask the authority for a new certificate",
            )
        }
        Ok(_) => check(name, OK, format_args!("`{}`, private", path.display()), ""),
        Err(error) => missing(
            name,
            path,
            &error,
            "`icomm init` makes keys; a lost key needs a new enrolment",
        ),
    }
}

fn document(name: &str, path: &Path) -> v1::Check {
    match fs::metadata(path) {
        Ok(file) if file.len() == 0 => check(
            name,
            ERROR,
            format_args!("`{}` is empty", path.display()),
            "install it again",
        ),
        Ok(_) => check(name, OK, format_args!("`{}`", path.display()), ""),
        Err(error) => missing(
            name,
            path,
            &error,
            "`icomm pki install` puts the authority's answer here",
        ),
    }
}

fn missing(name: &str, path: &Path, error: &io::Error, advice: &str) -> v1::Check {
    let level = if error.kind() == io::ErrorKind::NotFound {
        WARNING
    } else {
        ERROR
    };
    check(
        name,
        level,
        format_args!("can't open `{}`: {error}", path.display()),
        advice,
    )
}
