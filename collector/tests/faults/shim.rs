//! Functions of C put before the system's by the loader, with a number that the test changes while they run.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::binary::CommandLine;

/// What every shim begins with: `knob`, the number.
const PRELUDE: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *knob;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("SHIM_KNOB");
  int file = path ? open(path, O_RDONLY) : -1;
  void *map = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *knob, PROT_READ, MAP_SHARED, file, 0);
  if (map != MAP_FAILED) knob = map;
}
"#;

pub(crate) struct Shim {
    folder: TempDir,
    knob: File,
}

impl Shim {
    /// None where there is no C compiler.
    pub(crate) fn build(source: &str) -> Option<Shim> {
        let folder = TempDir::new().expect("a folder");
        let (c, object) = (folder.path().join("shim.c"), folder.path().join("shim.so"));
        std::fs::write(&c, format!("{PRELUDE}{source}")).expect("written");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(object).arg(&c).output();
        if !built.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let path = folder.path().join("knob");
        std::fs::write(&path, 0_i64.to_ne_bytes()).expect("written");
        let knob = File::options().write(true).open(path).expect("there");
        Some(Shim { folder, knob })
    }

    pub(crate) fn set(&self, number: i64) {
        self.knob.write_all_at(&number.to_ne_bytes(), 0).expect("written");
    }

    /// Puts it before the functions of the system.
    pub(crate) fn before(&self, command: CommandLine) -> CommandLine {
        let at = |name: &str| -> PathBuf { self.folder.path().join(name) };
        command.env("LD_PRELOAD", at("shim.so")).env("SHIM_KNOB", at("knob"))
    }
}
