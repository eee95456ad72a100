//! The cluster's configuration file on disk: read once at start, written whole at every change of the node.
//!
//! A change is rare and asked for by an administrator, so the core that decides it waits for the disk: the client hears
//! `OK` when the change will survive.

use crate::listen::plain;
use ringkey_cluster::{Announced, Node, NodeId, nodes_conf};
use ringkey_core::settings::{Setting, Settings};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

fn path(settings: &Settings) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(settings.text(Setting::ClusterConfigFile)))
}

/// Twenty bytes of chance.
pub fn twenty(random: &mut fastrand::Rng) -> [u8; 20] {
    std::array::from_fn(|_| random.u8(..))
}

/// The node of the file, or a new one if there is no file. The file is there afterwards.
///
/// # Errors
/// The line to end with.
pub fn load(settings: &Settings, cores: u16) -> Result<Node, String> {
    let path = path(settings);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(format!("Can't open the cluster config file '{}': {}", path.display(), plain(&error)));
        }
    };
    // Seeded by the operating system: two servers must never draw the same name.
    let mut random = fastrand::Rng::with_seed(crate::boot::random_seed());
    let mut again = fastrand::Rng::with_seed(crate::boot::random_seed());
    let entropy = [twenty(&mut random), twenty(&mut again)];
    let read = nodes_conf::parse(&text, NodeId::from_entropy(entropy[1]))
        .map_err(|why| format!("The cluster config file '{}' cannot be used: {why}", path.display()))?;
    let node = match read {
        Some(node) => {
            log::info!("Node configuration loaded, I'm {}", node.id);
            node
        }
        None => {
            // Ports of cores are there for clients to find their keys: without slots they would find nothing.
            let node = Node::new(entropy, settings.int(Setting::CorePorts) != 0);
            log::info!("No cluster configuration found, I'm {}", node.id);
            node
        }
    };
    save(&node, settings, cores)
        .map_err(|error| format!("Can't write the cluster config file '{}': {}", path.display(), plain(&error)))?;
    Ok(node)
}

/// Writes the file: all of it or nothing.
///
/// # Errors
/// What failed.
pub fn save(node: &Node, settings: &Settings, cores: u16) -> io::Result<()> {
    let path = path(settings);
    let mut new = path.clone().into_os_string();
    new.push(format!(".tmp-{}", std::process::id()));
    let written = File::create(&new)
        .and_then(|mut file| {
            file.write_all(nodes_conf::render(node, &Announced::new(settings, cores)).as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&new, &path));
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
        return written;
    }
    // The new name is on the disk when its folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(".".into(), PathBuf::from);
    File::open(folder)?.sync_all()
}
