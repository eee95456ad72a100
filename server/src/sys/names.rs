//! Names that only the C library can resolve: groups, locales.

#![allow(unsafe_code)]

use std::ffi::CString;

/// No entry of a group is longer, in bytes.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// The number of a group; a name that is a number stands for itself if there is no such group.
pub fn group_id(name: &[u8]) -> Option<u32> {
    let text = CString::new(name).ok()?;
    let mut buffer = vec![0_u8; 4096];
    loop {
        let mut found = std::ptr::null_mut();
        // SAFETY: a record of zeros is valid to be filled; the call writes to it, to the buffer within its length, and to
        // `found`, which afterwards is null or the record.
        let (error, id) = unsafe {
            let mut group = std::mem::zeroed::<libc::group>();
            let room = buffer.as_mut_ptr().cast();
            let error = libc::getgrnam_r(text.as_ptr(), &raw mut group, room, buffer.len(), &raw mut found);
            (error, group.gr_gid)
        };
        if !found.is_null() {
            return Some(id);
        }
        if error != libc::ERANGE || buffer.len() >= GROUP_BYTES_MAX {
            return std::str::from_utf8(name).ok()?.parse().ok();
        }
        buffer.resize(buffer.len() * 2, 0);
    }
}

/// Does this machine know the locale, for comparing texts? An empty name is that of the environment.
pub fn has_locale(name: &[u8]) -> bool {
    let Ok(text) = CString::new(name) else { return false };
    // SAFETY: the name ends with a NUL and lives through the call; a locale that was made is freed at once.
    unsafe {
        let locale = libc::newlocale(libc::LC_COLLATE_MASK, text.as_ptr(), std::ptr::null_mut());
        if locale.is_null() {
            return false;
        }
        libc::freelocale(locale);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_machine_knows() {
        assert_eq!(group_id(b"root"), Some(0));
        assert_eq!(group_id(b"4242"), Some(4242));
        assert_eq!(group_id(b"no such group"), None);
        assert_eq!(group_id(b"a\0b"), None);
        assert!(has_locale(b"C") && !has_locale(b"xx_XX.nosuch") && !has_locale(b"C\0"));
    }
}
