//! Commands for strings.

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
stand_ins!(append decr decrby delifeq get getdel getex getrange getset incr incrby incrbyfloat lcs mget mset msetex msetnx psetex set setex setnx setrange strlen substr);
