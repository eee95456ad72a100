//! Commands for keys of any type.

pub mod rows;

// LOCAL STAND-IN, not for the merge: lets the rows compile without the handlers.
macro_rules! stand_ins {
    ($($name:ident)*) => {$(
        #[allow(missing_docs, clippy::missing_errors_doc)]
        pub fn $name(
            _: &mut crate::commands::Context<'_>,
            _: &crate::resp::Args<'_>,
            _: &mut crate::resp::Reply<'_>,
        ) -> Result<crate::outcome::Outcome, crate::resp::CommandError> {
            Ok(crate::outcome::Outcome::unchanged())
        }
    )*};
}
stand_ins!(copy del exists expire expireat expiretime key_type keys move_key object_encoding object_freq object_idletime object_refcount persist pexpire pexpireat pexpiretime pttl rename renamenx touch ttl unlink dbsize flushdb flushall);
