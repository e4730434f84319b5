//! Makes the files of the web page part of the program.
//!
//! `web/dist` is what `npm run build` in `web` writes; it is committed, so that a build needs no Node. Each file is
//! compressed here, once, and listed with what a response says of it.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::error::Error;
use std::hash::{DefaultHasher, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

/// Length of the hash that esbuild puts into names.
const HASH_LENGTH: usize = 8;

fn main() -> ExitCode {
    match write_list() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: the web page cannot be embedded: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_list() -> Result<(), Box<dyn Error>> {
    let dist = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../web/dist");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", dist.display());
    let entries = fs::read_dir(&dist).map_err(|error| {
        format!("{}: {error}; it is part of the repository, and `npm ci && npm run build` in web writes it", dist.display())
    })?;
    let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>, std::io::Error>>()?;
    names.sort();
    if !names.iter().any(|name| name == "index.html") {
        return Err(format!("{} has no index.html; `npm run build` in web writes it", dist.display()).into());
    }
    let mut list = String::from("&[\n");
    for name in names {
        let name = name.into_string().map_err(|name| format!("the name {name:?} is not UTF-8"))?;
        let path = dist.join(&name);
        println!("cargo::rerun-if-changed={}", path.display());
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        list.push_str(&entry(&name, &bytes, &out)?);
    }
    list.push_str("]\n");
    fs::write(out.join("page.rs"), list)?;
    Ok(())
}

/// Writes a file and its compressed form, and returns the list's entry for it.
fn entry(name: &str, bytes: &[u8], out: &Path) -> Result<String, Box<dyn Error>> {
    let content_type = content_type(name)?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes)?;
    let gzip = gzip.finish()?;
    let (plain_path, gzip_path) = (out.join(format!("page-{name}")), out.join(format!("page-{name}.gz")));
    fs::write(&plain_path, bytes)?;
    fs::write(&gzip_path, &gzip)?;
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    // Weak: it is the same for both forms.
    let tag = format!("W/\"{:016x}\"", hasher.finish());
    let is_hashed = is_hashed(name);
    Ok(format!(
        "    File {{ name: {name:?}, content_type: {content_type:?}, tag: {tag:?}, is_hashed: {is_hashed}, \
         bytes: include_bytes!({plain_path:?}), gzip: include_bytes!({gzip_path:?}) }},\n"
    ))
}

fn content_type(name: &str) -> Result<&'static str, String> {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    Ok(match extension {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => return Err(format!("web/dist/{name} is of a type that api/build.rs does not know")),
    })
}

/// Whether a name contains the hash of its content, as in `app-K3XQ7ZPA.js`: what it names never changes.
fn is_hashed(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let is_hash =
        |text: &str| text.len() == HASH_LENGTH && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    stem.rsplit_once('-').is_some_and(|(_, hash)| is_hash(hash))
}
