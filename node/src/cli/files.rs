//! Files that commands read and write: keys and requests private to this user, never half written, never overwritten.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::exit::Failure;

/// The largest document that a command reads whole: certificates, bundles, agreements, one record.
const DOCUMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Makes a folder that only this user can open, and those above it.
pub(super) fn create_private_folder(path: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| cannot("make folder", path, &error))
}

/// Writes a new file with mode 0600; an existing one is left alone and is an error.
pub(super) fn create_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    create(path, content, 0o600)
}

/// Writes a new file that anybody may read; an existing one is left alone and is an error.
pub(super) fn create_public(path: &Path, content: &[u8]) -> Result<(), Failure> {
    create(path, content, 0o644)
}

/// Begins a new file with mode 0600, to be written on; an existing one is left alone and is an error.
pub(super) fn open_private(path: &Path) -> io::Result<fs::File> {
    open_new(path, 0o600)
}

/// What is not to be overwritten is refused before anything is done that would then be for nothing.
pub(super) fn must_be_new(path: &Path) -> Result<(), Failure> {
    match path.exists() {
        true => Err(Failure::new(format_args!("`{}` exists already", path.display())).advice("name a new file")),
        false => Ok(()),
    }
}

/// Replaces a file in one step: whoever reads it sees the old content or the new, also after a power cut.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.new", std::process::id()));
    create(&temporary, content, mode)?;
    fs::rename(&temporary, path)
        .and_then(|()| sync_folder(folder))
        .map_err(|error| {
            // The old file stands; the new one under its temporary name is of no use to anybody.
            drop(fs::remove_file(&temporary));
            cannot("replace", path, &error)
        })
}

/// Makes names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// A large file being written beside its place, for its owner alone: it is there whole or not at all.
pub(super) struct Writing<'a> {
    place: &'a Path,
    temporary: PathBuf,
    file: fs::File,
}

impl<'a> Writing<'a> {
    pub(super) fn begin(place: &'a Path) -> Result<Self, Failure> {
        let mut temporary = place.as_os_str().to_owned();
        temporary.push(format!(".{}.part", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let file = open_private(&temporary).map_err(|error| cannot("write", place, &error))?;
        Ok(Self { place, temporary, file })
    }

    pub(super) fn add(&mut self, data: &[u8]) -> Result<(), Failure> {
        self.write(data).map_err(|error| cannot("write", self.place, &error))
    }

    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)
    }

    pub(super) fn finish(self) -> Result<(), Failure> {
        let folder = self.place.parent().filter(|folder| !folder.as_os_str().is_empty());
        self.file
            .sync_all()
            // A link, unlike a renaming, replaces no file that came there meanwhile.
            .and_then(|()| fs::hard_link(&self.temporary, self.place))
            .and_then(|()| sync_folder(folder.unwrap_or(Path::new("."))))
            .map_err(|error| cannot("write", self.place, &error))
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.temporary));
    }
}

/// Reads a document of bounded size; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let mut content = Vec::new();
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(fs::File::open(path).map_err(|error| cannot("read", path, &error))?)
    };
    input
        .take(DOCUMENT_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .map_err(|error| cannot("read", path, &error))?;
    if content.len() as u64 > DOCUMENT_BYTES_MAX {
        return Err(Failure::new(format_args!(
            "`{}` is larger than {DOCUMENT_BYTES_MAX} bytes",
            path.display()
        )));
    }
    Ok(content)
}

/// Reads a document that is text.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?).map_err(|_| Failure::new(format_args!("`{}` is not UTF-8 text", path.display())))
}

/// Writes a document where `--out` says: to a new file, or to standard output.
pub(super) fn write_out(out: Option<&PathBuf>, content: &[u8]) -> Result<(), Failure> {
    match out {
        Some(path) => create_public(path, content),
        None => io::stdout()
            .lock()
            .write_all(content)
            .map_err(|error| Failure::new(format_args!("can't write to standard output: {error}"))),
    }
}

fn open_new(path: &Path, mode: u32) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    let written = open_new(path, mode).and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(format_args!(
            "`{}` exists already and is not overwritten",
            path.display()
        )),
        _ => cannot("write", path, &error),
    })
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(format_args!("can't {verb} `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::{create_private, create_private_folder, read, replace};

    #[test]
    fn private_files_are_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("a/keys");
        create_private_folder(&keys).unwrap();
        assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o700);
        let key = keys.join("key.pem");
        create_private(&key, b"one").unwrap();
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let error = create_private(&key, b"two").unwrap_err().to_string();
        assert!(error.contains("exists already"), "{error}");
        assert_eq!(read(&key).unwrap(), b"one");
        replace(&key, b"three", 0o600).unwrap();
        assert_eq!(read(&key).unwrap(), b"three");
        assert_eq!(fs::read_dir(&keys).unwrap().count(), 1, "no temporary file stays");
    }
}
