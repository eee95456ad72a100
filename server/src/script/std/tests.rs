//! The libraries against what the real server gave, against themselves, and against input that nobody sane would send.
#![allow(clippy::unwrap_used)]

use mlua::Lua;
use ringkey_core::prng::Prng;

/// Snippets and what they give on the real server.
const RECORDED: &str = include_str!("recorded.txt");

/// The script around a snippet, which makes a text of what it gives.
const SHOW: &str = include_str!("show.lua");

fn interpreter() -> Lua {
    let lua = Lua::new();
    super::install(&lua).unwrap();
    lua
}

fn outcome(lua: &Lua, snippet: &str) -> String {
    let script = SHOW.replace("--SNIPPET", snippet);
    lua.load(script).set_name("@user_script").eval::<mlua::String>().unwrap().to_string_lossy()
}

#[test]
fn snippets_give_what_the_real_server_gives() {
    let lua = interpreter();
    let mut lines = RECORDED.lines().filter(|line| !line.starts_with('#'));
    let (mut compared, mut wrong) = (0, Vec::new());
    while let (Some(snippet), Some(expected)) = (lines.next(), lines.next()) {
        let snippet = snippet.strip_prefix("> ").unwrap();
        let given = outcome(&lua, snippet);
        compared += 1;
        if given != expected {
            wrong.push(format!("{snippet}\n  gives {given}\n  not   {expected}"));
        }
    }
    assert!(compared > 200, "only {compared} snippets");
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Makes values by lot, and compares values.
const VALUES: &str = r#"
    local state = ...
    local function below(bound)
        state = (state * 1103515245 + 12345) % 2147483648
        return math.floor(state / 65536) % bound
    end
    local function text()
        local bytes = {}
        for at = 1, below(40) do bytes[at] = string.char(below(256)) end
        return table.concat(bytes)
    end
    local function number()
        local kind = below(4)
        if kind == 0 then return below(256) - 128 end
        if kind == 1 then return (below(32768) * 32768 + below(32768)) * (below(2) * 2 - 1) end
        if kind == 2 then return below(32768) / 64 end
        return 2 ^ (below(50))
    end
    local function value(depth)
        local kind = below(depth > 4 and 3 or 5)
        if kind == 0 then return number() end
        if kind == 1 then return text() end
        if kind == 2 then return below(2) == 0 end
        local made = {}
        for at = 1, 1 + below(6) do made[kind == 3 and at or ('k' .. at)] = value(depth + 1) end
        return made
    end
    local function same(left, right)
        if type(left) ~= 'table' or type(right) ~= 'table' then return left == right end
        for key, one in pairs(left) do if not same(one, right[key]) then return false end end
        for key in pairs(right) do if left[key] == nil then return false end end
        return true
    end
"#;

fn holds(law: &str) {
    let lua = interpreter();
    let law = lua.load(format!("{VALUES}\n{law}")).into_function().unwrap();
    for seed in 0..500 {
        assert!(law.call::<bool>(seed * 7919).unwrap(), "seed {seed}");
    }
}

#[test]
fn json_comes_back() {
    holds("local made = value(0) return same(made, cjson.decode(cjson.encode(made)))");
}

#[test]
fn message_pack_comes_back() {
    holds(
        "local one, two = value(0), value(0)
         local text = cmsgpack.pack(one, two)
         local first, second = cmsgpack.unpack(text)
         local next, alone = cmsgpack.unpack_one(text)
         local over, last = cmsgpack.unpack_limit(text, 1, next)
         return same(one, first) and same(two, second) and same(one, alone) and same(two, last) and over == -1",
    );
}

#[test]
fn structures_come_back() {
    holds(
        "local kinds = {'b', 'B', 'h', 'H', 'l', 'L', 'T', 'd', 'i3', 'I5', 'i8', 'I16', 's', 'x', '>', '<', '!', '!2', '!4'}
         local format, values = {}, {}
         for at = 1, below(12) do
             local kind = kinds[1 + below(#kinds)]
             format[at] = kind
             if kind == 's' then values[#values + 1] = string.gsub(text(), '%z', '0')
             elseif string.find(kind, '[a-wyzA-Z]') then values[#values + 1] = below(100) end
         end
         format = table.concat(format)
         local packed = struct.pack(format, unpack(values))
         local back = {struct.unpack(format, packed)}
         local position = table.remove(back)
         if not string.find(format, 's') and struct.size(format) ~= #packed then return false end
         return same(values, back) and position == #packed + 1",
    );
}

#[test]
fn bits_agree_with_each_other() {
    holds(
        "local one, two, by = number() % 2 ^ 32, number() % 2 ^ 32, below(100)
         return bit.bxor(bit.bxor(one, two), two) == bit.tobit(one)
             and bit.bnot(bit.band(one, two)) == bit.bor(bit.bnot(one), bit.bnot(two))
             and bit.ror(bit.rol(one, by), by) == bit.tobit(one)
             and bit.bswap(bit.bswap(one)) == bit.tobit(one)
             and bit.lshift(bit.rshift(one, by), by) == bit.band(one, bit.lshift(-1, by))
             and tonumber(bit.tohex(one), 16) % 2 ^ 32 == one",
    );
}

#[test]
fn a_protected_table_works_and_has_settings_of_its_own() {
    let lua = interpreter();
    let script = "
        local hidden = cjson
        local shown = setmetatable({}, {__index = hidden, __newindex = function() error('protected') end})
        cjson = shown
        cjson.encode_max_depth(1)
        local other = cjson.new()
        local refused = not pcall(cjson.encode, {{}})
        return refused and other.encode({{}}) == '[{}]' and cjson.encode({}) == '{}'";
    assert!(lua.load(script).eval::<bool>().unwrap());
}

#[test]
fn collected_libraries_free_what_they_hold() {
    let lua = interpreter();
    let script = "
        for at = 1, 200 do
            local one = cjson.new()
            one.decode(one.encode({string.rep('x', 1000), '\"'}))
        end
        collectgarbage() collectgarbage()
        return collectgarbage('count') < 1000";
    assert!(lua.load(script).eval::<bool>().unwrap());
}

#[test]
fn depth_costs_no_stack() {
    // A script has a stack of a megabyte or two, a thread of ours half of one.
    let deep = || {
        let lua = interpreter();
        let script = "
            cjson.encode_max_depth(2147483647) cjson.decode_max_depth(2147483647)
            local deep = {}
            for at = 1, 7000 do deep = {deep} end
            local text = cjson.encode(deep)
            local back = cjson.decode(text)
            assert(cjson.encode(back) == text)
            assert(not pcall(cjson.decode, string.rep('[', 10000000)))
            assert(not pcall(cjson.decode, string.rep('{\"a\":', 1000000)))
            assert(not pcall(cmsgpack.unpack, string.rep('\\145', 10000000)))
            assert(not pcall(cmsgpack.unpack, string.rep('\\129', 10000000)))
            cmsgpack.unpack(string.rep('\\145', 3990) .. '\\1')
            cmsgpack.pack(deep)
            return true";
        lua.load(script).eval::<bool>().unwrap()
    };
    assert!(std::thread::Builder::new().stack_size(512 << 10).spawn(deep).unwrap().join().unwrap());
}

#[test]
fn absurd_sizes_are_refused_before_they_are_made() {
    let lua = interpreter();
    let script = "
        cjson.encode_sparse_array(true, 0, 0)
        local holes, why = pcall(cjson.encode, {[2147483647] = 1})
        local lengths = {'\\219\\255\\255\\255\\255', '\\221\\255\\255\\255\\255', '\\223\\255\\255\\255\\255'}
        for _, text in ipairs(lengths) do assert(not pcall(cmsgpack.unpack, text)) end
        assert(not pcall(struct.unpack, 'Lc0', string.rep('\\127', 8)))
        return holes == false and why == 'not enough memory'";
    assert!(lua.load(script).eval::<bool>().unwrap());
}

/// Whatever the bytes are: an error or values, and what values become is read again.
const ANY_BYTES: &str = "
    local function try(name, ...)
        local works, value = pcall(...)
        assert(works or type(value) == 'string', name)
        return works, value
    end
    return function(bytes, format)
        local works, value = try('decode', cjson.decode, bytes)
        if works then
            cjson.encode_invalid_numbers(true)
            local encodes, text = try('encode', cjson.encode, value)
            if encodes then assert(cjson.encode(cjson.decode(text)) == text) end
        end
        works, value = try('unpack', function() return {cmsgpack.unpack(bytes)} end)
        if works then try('pack', function() return cmsgpack.unpack(cmsgpack.pack(value)) end) end
        try('unpack_one', cmsgpack.unpack_one, bytes, #format)
        try('unpack_limit', cmsgpack.unpack_limit, bytes, #format, #format)
        try('struct.unpack', struct.unpack, format, bytes)
        try('struct.unpack', struct.unpack, format, bytes, #format)
        try('struct.pack', struct.pack, format, 1, bytes, 2, bytes, -3, 4)
        try('struct.size', struct.size, format)
    end";

#[test]
fn any_bytes_are_refused_or_read() {
    const LIKELY: &[u8] =
        b"[]{}:,\"\\u0019-.eEtfn \x80\x81\x90\x92\xa1\xa3\xc0\xc3\xca\xcb\xcf\xd3\xd9\xdb\xdd\xdf\x00\xff";
    const OPTIONS: &[u8] = b"bBhHlLTiIfdscx <>!0123456789q";
    let rounds = std::env::var("RINGKEY_FUZZ_ROUNDS").map_or(5_000, |rounds| rounds.parse().unwrap());
    let lua = interpreter();
    let check: mlua::Function = lua.load(ANY_BYTES).eval().unwrap();
    let mut prng = Prng::new(7);
    let mut draw = |from: &[u8], most: u64, wild: bool| -> Vec<u8> {
        let length = prng.below(most);
        let one = |prng: &mut Prng| {
            if wild && prng.below(8) == 0 {
                prng.below(256) as u8
            } else {
                from[prng.below(from.len() as u64) as usize]
            }
        };
        (0..length).map(|_| one(&mut prng)).collect()
    };
    for _ in 0..rounds {
        let (bytes, format) = (draw(LIKELY, 40, true), draw(OPTIONS, 8, false));
        let given = (lua.create_string(&bytes).unwrap(), lua.create_string(&format).unwrap());
        check.call::<()>(given).unwrap_or_else(|error| panic!("{bytes:?} {format:?}: {error}"));
    }
}
