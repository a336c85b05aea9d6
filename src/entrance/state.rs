//! Files that outlive the server: its certificates, and their keys.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// No file that is written here comes near it, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// A folder that only the server's own account may look into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StateFolder(PathBuf);

impl StateFolder {
    /// Makes it, where it is not there yet.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)?;
        Ok(Self(path.to_owned()))
    }

    /// What a file holds; `None` where there is none.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "longer than 1 MiB",
            ));
        }
        Ok(Some(bytes))
    }

    /// Writes a file that nobody else may read. Whatever happens meanwhile, there is the old one or the new one, in full.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.0.join(name);
        let draft = self
            .0
            .join(format!(".{name}.{:016x}", rand::random::<u64>()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&draft).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        let done = written.and_then(|()| fs::rename(&draft, &path));
        if done.is_err() {
            // It may not be there.
            let _ = fs::remove_file(&draft);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_is_nobody_elses() {
        let path = std::env::temp_dir().join(format!("crosspoint-{}", rand::random::<u64>()));
        let folder = StateFolder::open(&path.join("a/b")).unwrap();
        assert_eq!(folder.read("key").unwrap(), None);
        for bytes in [&b"first"[..], b"second"] {
            folder.write("key", bytes).unwrap();
            assert_eq!(folder.read("key").unwrap().as_deref(), Some(bytes));
        }
        let names = fs::read_dir(path.join("a/b")).unwrap();
        assert_eq!(names.count(), 1, "no draft is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&path.join("a/b")), 0o700);
            assert_eq!(mode(&path.join("a/b/key")), 0o600);
        }
        fs::remove_dir_all(&path).unwrap();
    }
}
