//! `phoenix-builder`: ocb's command line over the library.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use phoenix_builder::{Catalog, Compiler, Manifest, Phoenix, Selection, choose, package, read, read_checked};
use phoenix_config::Problems;

/// Builds a distribution of Phoenix with just the components that a manifest names. It takes the manifests of
/// otelcol's builder (ocb), as far as Phoenix has what they name.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  phoenix-builder --config=manifest.yaml\n  phoenix-builder --config=manifest.yaml --skip-compilation --verbose\n  phoenix-builder registry"
)]
struct Arguments {
    #[command(flatten)]
    build: Build,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints the version.
    Version,
    /// Writes what names the default distribution's components in Phoenix's checkout, from builder/phoenix.yaml.
    Registry {
        /// Changes nothing, and fails where something would change.
        #[arg(long)]
        check: bool,
        /// The checkout of Phoenix, where it is not around the working directory.
        #[arg(long, value_name = "PATH")]
        phoenix: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
struct Build {
    /// The manifest.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Writes no sources: those of the last run are compiled.
    #[arg(long)]
    skip_generate: bool,
    /// Does not get the crates that are needed before compiling.
    #[arg(long)]
    skip_get_modules: bool,
    /// Writes the sources and does not compile them.
    #[arg(long)]
    skip_compilation: bool,
    /// Accepted for ocb's sake: versions of Go modules mean nothing here.
    #[arg(long)]
    skip_strict_versioning: bool,
    /// Says what was chosen for each line, and what cargo runs.
    #[arg(long, short)]
    verbose: bool,
    /// Where the sources and the binary go, instead of `dist::output_path`.
    #[arg(long, value_name = "PATH")]
    output_path: Option<PathBuf>,
    /// The checkout of Phoenix, instead of `dist::phoenix`.
    #[arg(long, value_name = "PATH")]
    phoenix: Option<PathBuf>,
    /// The profile to compile with: release or dev.
    #[arg(long, value_name = "NAME", default_value = "release")]
    profile: String,
    /// The target triple to compile for.
    #[arg(long, value_name = "TRIPLE", default_value = "")]
    target: String,
    /// Uses no network.
    #[arg(long)]
    offline: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let outcome = match &arguments.command {
        None => build(&arguments.build),
        Some(Command::Version) => {
            say(&format!("phoenix-builder version {}", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
        Some(Command::Registry { check, phoenix }) => registry(*check, phoenix.as_deref()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("Error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "progress and errors of a command")]
fn say(text: &str) {
    eprintln!("{}", text.trim_end());
}

fn registry(check: bool, phoenix: Option<&Path>) -> anyhow::Result<()> {
    let Phoenix::Checkout(root) = Phoenix::find(phoenix, None)? else { bail!("a checkout is needed") };
    let mut problems = Problems::new();
    let file = root.join("builder/phoenix.yaml");
    let Some(manifest) = read(&file, &mut problems) else { bail!("{problems}") };
    let catalog = Catalog::of(manifest);
    if check {
        return Ok(phoenix_builder::check_registry(&root, &catalog)??);
    }
    for path in phoenix_builder::write_registry(&root, &catalog)? {
        say(&format!("Wrote {}", path.display()));
    }
    Ok(())
}

fn build(arguments: &Build) -> anyhow::Result<()> {
    let Some(config) = &arguments.config else { bail!("a manifest is needed: --config=manifest.yaml") };
    say(&format!("Phoenix Collector Builder {}", env!("CARGO_PKG_VERSION")));
    say(&format!("Using config file {}", config.display()));
    let (manifest, selection) = chosen(config)?;
    if arguments.verbose {
        for chosen in &selection.components {
            say(&format!("  {} {} -> {} ({:?})", chosen.kind, chosen.asked, chosen.factory, chosen.from));
        }
    }
    let dist = &manifest.dist;
    let folder = folder(arguments, &dist.output_path)?;
    if !arguments.skip_generate {
        let phoenix = Phoenix::find(arguments.phoenix.as_deref(), dist.phoenix.as_ref())?;
        package(dist, &selection, &phoenix)?.write(&folder)?;
        say(&format!("Sources created in {}", folder.display()));
    }
    let compiler = Compiler {
        cargo: dist.cargo.clone(),
        profile: arguments.profile.clone(),
        target: arguments.target.clone(),
        offline: arguments.offline,
        verbose: arguments.verbose,
    };
    if !arguments.skip_get_modules && !arguments.skip_compilation && !arguments.offline {
        say("Getting crates");
        compiler.fetch(&folder)?;
    }
    if arguments.skip_compilation {
        say("Compiling skipped");
        return Ok(());
    }
    say("Compiling");
    let binary = compiler.compile(&folder, &dist.name)?;
    say(&format!("Compiled {}", binary.display()));
    Ok(())
}

/// What the manifest says and what that means; warnings are said at once, mistakes all together.
fn chosen(config: &Path) -> anyhow::Result<(Manifest, Selection)> {
    let mut problems = Problems::new();
    let manifest = read_checked(config, &mut problems);
    // What there is to say about the choice was said while reading.
    let choose = |manifest: &Manifest| choose(manifest, &Catalog::built_in(), &mut Problems::new());
    let selection = manifest.as_ref().and_then(choose);
    let (Some(manifest), Some(selection)) = (manifest, selection) else {
        bail!("the manifest has mistakes\n{problems}")
    };
    if !problems.is_empty() {
        say(&problems.to_string());
    }
    Ok((manifest, selection))
}

fn folder(arguments: &Build, from_manifest: &str) -> anyhow::Result<PathBuf> {
    let given = match &arguments.output_path {
        Some(path) => path.clone(),
        None if !from_manifest.is_empty() => PathBuf::from(from_manifest),
        None if arguments.skip_generate => bail!("--skip-generate needs dist::output_path or --output-path"),
        None => tempfile::Builder::new().prefix("phoenix-distribution").tempdir()?.keep(),
    };
    std::path::absolute(&given).with_context(|| format!("cannot use {}", given.display()))
}
