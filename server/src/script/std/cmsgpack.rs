//! `cmsgpack`: values to MessagePack and back.

mod pack;
mod unpack;

use std::ffi::CStr;

use super::stack::{Constant, Library, Native};

pub(super) static LIBRARY: Library = Library {
    name: c"cmsgpack",
    functions: FUNCTIONS,
    constants: &[
        (c"_NAME", Constant::Text(c"cmsgpack")),
        (c"_VERSION", Constant::Text(c"lua-cmsgpack 0.4.0")),
        (c"_COPYRIGHT", Constant::Text(c"Copyright (C) 2012, Redis Ltd.")),
        (c"_DESCRIPTION", Constant::Text(c"MessagePack C implementation for Lua")),
    ],
};

const FUNCTIONS: &[(&CStr, Native)] = &[
    (c"pack", pack::pack),
    (c"unpack", unpack::unpack),
    (c"unpack_one", unpack::unpack_one),
    (c"unpack_limit", unpack::unpack_limit),
];
