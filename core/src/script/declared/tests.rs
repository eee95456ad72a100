//! Scripts as people write them, scripts as nobody should, and bytes that are no scripts.

use super::*;

/// Scripts that touch declared keys only, and of which that can be told.
const PROVEN: &[&str] = &[
    "",
    "return 1",
    "return {KEYS[1], KEYS[2], ARGV[1], #KEYS, #ARGV}",
    "return redis.call('get', KEYS[1])",
    "return server.pcall('GET', KEYS[1])",
    // A lock is released by who holds it.
    "if redis.call(\"get\",KEYS[1]) == ARGV[1] then return redis.call(\"del\",KEYS[1]) else return 0 end",
    // A fixed window.
    "local current = redis.call('INCR', KEYS[1])\nif tonumber(current) == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end\nreturn current",
    // A sliding window.
    r"
    local key, now = KEYS[1], tonumber(ARGV[1])
    local window, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
    redis.call('ZREMRANGEBYSCORE', key, 0, now - window) -- 'KEYS'
    local count = redis.call('ZCARD', key)
    if count < limit then
        redis.call('ZADD', key, now, ARGV[4] .. ':' .. count)
        redis.call('PEXPIRE', key, math.ceil(window))
        return {1, limit - count - 1}
    end
    local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    return {0, tonumber(oldest[2]) + window - now}",
    // A token bucket.
    r"
    local tokens_key = KEYS[1]
    local timestamp_key = KEYS[2]
    local rate, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
    local now, requested = tonumber(ARGV[3]), tonumber(ARGV[4])
    local ttl = math.floor(capacity / rate * 2)
    local last_tokens = tonumber(redis.call('get', tokens_key))
    if last_tokens == nil then last_tokens = capacity end
    local last_refreshed = tonumber(redis.call('get', timestamp_key))
    if last_refreshed == nil then last_refreshed = 0 end
    local delta = math.max(0, now - last_refreshed)
    local filled = math.min(capacity, last_tokens + delta * rate)
    local allowed = filled >= requested
    local new_tokens, allowed_num = filled, 0
    if allowed then new_tokens = filled - requested; allowed_num = 1 end
    if ttl > 0 then
      redis.call('setex', tokens_key, ttl, new_tokens)
      redis.call('setex', timestamp_key, ttl, now)
    end
    return { allowed_num, new_tokens }",
    // A list of jobs that are due.
    r"
    local zset, now = KEYS[1], ARGV[1]
    local jobs = redis.call('zrange', zset, '-inf', now, 'byscore', 'limit', 0, 1)
    if jobs[1] then
      redis.call('zrem', zset, jobs[1])
      return jobs[1]
    end",
    r"
    for i = 1, #KEYS do
        if redis.call('exists', KEYS[i]) == 1 then return redis.error_reply('taken ' .. KEYS[i]) end
    end
    for i, key in ipairs(KEYS) do redis.call('set', key, ARGV[i], 'PX', ARGV[#ARGV]) end
    for _, key in pairs( KEYS ) do redis.call('del', key, KEYS[#KEYS]) end
    return redis.status_reply('OK')",
    "local i = 0 repeat i = i + 1 local k = KEYS[i] redis.call('incr', k) until k == nil or i > 3",
    "while redis.call('llen', KEYS[1]) > 0 do redis.call('rpoplpush', KEYS[1], KEYS[2]) end",
    "local a, b = KEYS[1], KEYS[2] return redis.call('rename', a, b)",
    "local a, b = KEYS[1] return redis.call('del', a, b)",
    "local k = KEYS[1]; local j = k; local f = function() return redis.call('get', j) end return f()",
    "local k; if ARGV[1] == 'a' then k = KEYS[1] else k = KEYS[2] end return redis.call('get', k)",
    "local k = KEYS[1] do local k = 'other' end return redis.call('get', k)",
    "local redis = {} redis.call = 1 local KEYS = {'x'} return KEYS",
    "local KEYS2 = {KEYS[1]} return KEYS2",
    "return redis.call('mset', KEYS[1], 'a', KEYS[2], ARGV[1])",
    "return redis.call('mget', KEYS[1], KEYS[2])",
    "return redis.call('blmove', KEYS[1], KEYS[2], 'left', 'right', 0)",
    "return redis.call('set', KEYS[1], unpack(ARGV))",
    "return redis.call('hset', KEYS[1], ...)",
    "return redis.call('rpush', KEYS[1], redis.call('get', KEYS[2]))",
    "return redis.call('object', 'encoding', KEYS[1])",
    "redis.call('xgroup', 'create', KEYS[1], 'g', '$', 'mkstream')",
    "redis.call([[get]], (KEYS[1]))",
    "redis.call([==[get]==], KEYS[ARGV[1] .. 'x'])",
    "redis.call --[[ inside ]] ( --[==[ ]] ]==] 'get' , -- more\n KEYS --\n[1])",
    "redis.log(redis.LOG_WARNING, redis.sha1hex(KEYS[1])) redis.setresp(3) redis.replicate_commands()",
    "local t = redis.call('time') return t[1] .. redis.call('ping')",
    "local ok = pcall(function() redis.call('incr', KEYS[1]) end) return tostring(ok)",
    "local t = {redis = 1, KEYS = 2, [KEYS[1]] = 3; 'x', f = function(a, ...) return arg end} return t.redis + t.KEYS",
    "local s = 'redis.call(\"get\", \"x\")\\'' return s",
    "return cjson.encode({KEYS[1]}), cmsgpack.pack(1), struct.pack('>I', 1), bit.band(1, 2)",
    "local function f(x) return x * 2 ^ -1 % 3 end return f(0x10) + f(1e-5) + f(.5) + f(3.)",
    "local t = {} function t.a.b:c(x) return self, x end t.x, t[KEYS[1]] = KEYS[1], 2",
    "local n = #KEYS local m = #KEYS[1] if #KEYS == 0 then return -#KEYS end",
    "return redis.call('get')",
    "return redis.call('get', nil)",
    "return redis.call('bitfield', KEYS[1], 'GET', 'u8', 0) or redis.call('set', KEYS[1], 'x', 'GET')",
    "local f = function() return redis.call('get', KEYS[1]) end return f{1}, f'x', ('x'):rep(3)",
];

/// Scripts that may touch others, or that are not understood.
const UNPROVEN: &[&str] = &[
    "return redis.call('get', 'x')",
    "return redis.call('get', ARGV[1])",
    "return redis.call('get', KEYS[1] .. ':x')",
    "return redis.call('get', KEYS[1] or 'x')",
    "return redis.call('get', (KEYS[1] .. 'x'))",
    "return redis.call('get', not KEYS[1])",
    "return redis.call('get', KEYS[1]:upper())",
    "return redis.call('get', KEYS[1].x)",
    "return redis.call('get', KEYS)",
    "return redis.call('mget', KEYS[1], 'x')",
    "return redis.call('mset', KEYS[1], 'a', 'x', 'b')",
    "return redis.call('mget', unpack(KEYS))",
    "return redis.call('del', KEYS[1], unpack(ARGV))",
    "return redis.call('del', KEYS[1], ...)",
    "return redis.call('get', ...)",
    "return redis.call('get', (...))",
    "return redis.call(unpack(ARGV))",
    "return redis.call(ARGV[1], KEYS[1])",
    "return redis.call('g' .. 'et', KEYS[1])",
    "return redis.call('g\\101t', KEYS[1])",
    "return redis.call('nonsense', KEYS[1])",
    "return redis.call()",
    "return redis.call{'get', 'x'}",
    "return redis.call'ping'",
    "return redis['call']('get', 'x')",
    "local r = redis return r.call('get', 'x')",
    "local c = redis.call return c('get', 'x')",
    "local redis = redis redis.call('get', 'x')",
    "return pcall(redis.call, 'get', 'x')",
    "redis:call('get', KEYS[1])",
    "redis.call = 1",
    "redis.log = 1",
    "redis.register_function('f', 1)",
    "redis = {}",
    "function redis.call() end",
    "function f() end",
    "x = 1",
    "return x",
    "KEYS = {'x'}",
    "KEYS[1] = 'x' return redis.call('get', KEYS[1])",
    "local x x, KEYS[1] = 1, 'x' return redis.call('get', KEYS[1])",
    "local x, y x, KEYS[1], y = 1, 'x', 2 return redis.call('get', KEYS[1])",
    "local f = (function() local x, y x, KEYS[1], y = 1, 'x', 2 end)() return redis.call('get', KEYS[1])",
    "local k = KEYS k[1] = 'x'",
    "table.insert(KEYS, 'x') return redis.call('get', KEYS[1])",
    "rawset(KEYS, 1, 'x')",
    "setmetatable(KEYS, {})",
    "local t = {KEYS}",
    "local t = {KEYS = KEYS}",
    "return KEYS",
    "return next(KEYS)",
    "for i, k in ipairs(KEYS), 1 do redis.call('get', k) end",
    "for i, k in ipairs(ARGV) do redis.call('get', k) end",
    "for i, k in ipairs(KEYS) do k = k .. 'x' redis.call('get', k) end",
    "for k in pairs(KEYS) do redis.call('get', k) end",
    "local ipairs = function() return function() return 1, 'x' end end for i, k in ipairs(KEYS) do redis.call('get', k) end",
    "for i, k in ARGV.x(KEYS) do redis.call('get', k) end",
    "for k = 1, 2 do redis.call('get', k) end",
    "local KEYS = {'x'} return redis.call('get', KEYS[1])",
    "local function f(KEYS) return redis.call('get', KEYS[1]) end return f(ARGV)",
    "local function f(k) return redis.call('get', k) end return f('x')",
    "local k = KEYS[1] k = 'x' return redis.call('get', k)",
    "local k = KEYS[1] local f = function() k = 'x' end f() return redis.call('get', k)",
    "local k = KEYS[1] redis.call('get', k) k = ARGV[1]",
    "local k = KEYS[1] local j = ARGV[1] local l = k l = j local m = l redis.call('get', m)",
    "local k = KEYS[1] do local k = 'other' redis.call('get', k) end",
    "local a, b = KEYS[1], ARGV[1] redis.call('get', b)",
    "local a, b = redis.call('get', KEYS[1]) redis.call('get', b)",
    "local a = redis.call('get', KEYS[1]) redis.call('get', a)",
    "local a = KEYS[1] function a() end redis.call('get', a)",
    "local k = KEYS[1] repeat local k = 'x' until redis.call('get', k)",
    "_G.redis.call('get', 'x')",
    "getfenv().redis.call('get', 'x')",
    "setfenv(1, {})",
    "loadstring('return 1')()",
    "load(function() end)",
    "debug.sethook()",
    "require 'x'",
    "rawset(ARGV, 1, 2)",
    "return redis.call('keys', '*')",
    "return redis.call('scan', 0)",
    "return redis.call('randomkey')",
    "return redis.call('dbsize')",
    "return redis.call('flushall')",
    "return redis.call('select', 1)",
    "return redis.call('sort', KEYS[1])",
    "return redis.call('sort', KEYS[1], 'by', 'x_*')",
    "return redis.call('sort_ro', KEYS[1])",
    "return redis.call('georadius', KEYS[1], 1, 1, 1, 'km', 'store', 'x')",
    "return redis.call('copy', KEYS[1], KEYS[2], 'db', 1)",
    "return redis.call('move', KEYS[1], 1)",
    "return redis.call('xread', 'streams', KEYS[1], 0)",
    "return redis.call('zunionstore', KEYS[1], 1, 'x')",
    "return redis.call('lmpop', 1, KEYS[1], 'left')",
    "return redis.call('eval', 'return 1', 1, KEYS[1])",
    "return redis.call('object', ARGV[1], KEYS[1])",
    "return redis.call('object', KEYS[1])",
    "return redis.call('object', 'encoding', 'x')",
    "-- \r redis.call('get', 'x')",
    "--[==[ ]] ]=] ]==] redis.call('get', 'x')",
    "--[[ ]] redis.call('get', 'x')",
    "--[= \n redis.call('get', 'x')",
    "local s = '\\\\' redis.call('get', 'x') local t = '\\\\'",
    "local s = \"'\" redis.call('get', 'x') --'",
    "local s = [[ [[ ]] redis.call('get', 'x')",
    "local s = ']]' redis.call('get', 'x')",
    "if",
    "return (",
    "redis.",
    "local",
    "for",
    "return 'x",
    "return [[x",
    "--[[ x",
    "goto x",
    "return 1 1",
    "end",
    "redis.call('get', KEYS[1]",
    "f\u{e9}(1)",
    "local arg = KEYS[1] local f = function(...) arg = 'x' end f() redis.call('get', arg)",
    // The keys of jobs hang on a prefix.
    "local jobKey = KEYS[1] .. ':' .. ARGV[1] redis.call('HSET', jobKey, 'a', 1)",
    r"
    local function getJob(prefix, id) return redis.call('HGETALL', prefix .. id) end
    local id = redis.call('RPOPLPUSH', KEYS[1], KEYS[2])
    if id then return getJob(ARGV[1], id) end",
];

#[test]
fn harmless_scripts_are_proven() {
    for source in PROVEN {
        assert!(is_proven(source.as_bytes()), "{source}");
    }
}

#[test]
fn others_are_not() {
    for source in UNPROVEN {
        assert!(!is_proven(source.as_bytes()), "{source}");
    }
}

#[test]
fn one_bad_call_anywhere_is_enough() {
    for source in PROVEN {
        if source.contains("return") {
            continue;
        }
        for bad in ["redis.call('get', 'x')", "KEYS[1] = 1", "local k = KEYS", "x = 1"] {
            assert!(!is_proven(format!("{bad};{source}").as_bytes()), "{source}");
            assert!(!is_proven(format!("{source}\n{bad}").as_bytes()), "{source}");
            assert!(!is_proven(format!("local f = function() {source}\n{bad} end").as_bytes()), "{source}");
        }
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |open: &str, close: &str, times| {
        is_proven(format!("return {}1{}", open.repeat(times), close.repeat(times)).as_bytes())
    };
    for (open, close) in [("(", ")"), ("{", "}"), ("(function() return ", " end)()"), ("ARGV[", "]"), ("-", "")] {
        assert!(nested(open, close, 10), "{open}");
        assert!(!nested(open, close, 20_000) || open == "-", "{open}");
    }
    assert!(!is_proven(&b"do ".repeat(20_000)));
    assert!(!is_proven(&b" ".repeat(SOURCE_BYTES_MAX + 1)));
    assert!(is_proven(&b" ".repeat(SOURCE_BYTES_MAX)));
    assert!(!is_proven(&b"local a ".repeat(VISIBLE_MAX + 1)) && is_proven(&b"local a ".repeat(VISIBLE_MAX)));
}

/// The tokens must be cut where Lua cuts them.
#[test]
fn tokens_are_those_of_lua() {
    let tokens = |source: &'static str| {
        let mut tokens = Tokens::new(source.as_bytes());
        std::iter::from_fn(move || tokens.advance().filter(|token| *token != Token::End)).collect::<Vec<_>>()
    };
    let sign = |text: &str| Token::Sign(text.as_bytes()[0], text.as_bytes().get(1).copied().unwrap_or(0));
    assert_eq!(
        tokens("3e-1 0xe+1 1..2 .5.x"),
        [Token::Number, Token::Number, sign("+"), Token::Number, Token::Number, Token::Number,][..]
    );
    assert_eq!(
        tokens("a.b..c...d"),
        [
            Token::Name(b"a"),
            sign("."),
            Token::Name(b"b"),
            sign(".."),
            Token::Name(b"c"),
            Token::Dots,
            Token::Name(b"d"),
        ]
    );
    assert_eq!(
        tokens("a==b~=c<=d=e"),
        [
            Token::Name(b"a"),
            sign("=="),
            Token::Name(b"b"),
            sign("~="),
            Token::Name(b"c"),
            sign("<="),
            Token::Name(b"d"),
            sign("="),
            Token::Name(b"e"),
        ]
    );
    assert_eq!(
        tokens("'a\"' \"\\\"\" [[x]=]y]] [=[\nz]]]=]--[=x"),
        [Token::Text(Some(b"a\"")), Token::Text(None), Token::Text(Some(b"x]=]y")), Token::Text(None),]
    );
    assert_eq!(tokens("x--y\rz--[[\n]]w--"), [Token::Name(b"x"), Token::Name(b"z"), Token::Name(b"w")]);
}

mod random {
    use super::*;
    use proptest::prelude::*;

    /// Pieces of which programs are made that nearly make sense.
    const PIECES: &[&str] = &[
        "redis",
        ".",
        "call",
        "pcall",
        "(",
        ")",
        "'get'",
        "'del'",
        ",",
        "KEYS",
        "[",
        "]",
        "1",
        "ARGV",
        "=",
        "local",
        "k",
        "x",
        "function",
        "end",
        "if",
        "then",
        "else",
        "for",
        "in",
        "do",
        "ipairs",
        "repeat",
        "until",
        "return",
        "..",
        "...",
        "{",
        "}",
        "#",
        "-",
        "--",
        "\n",
        "[[",
        "]]",
        "--[[",
        "[=[",
        "]=]",
        "'",
        "\"",
        "\\",
        ";",
        ":",
        "nil",
        "not",
        "or",
        "while",
        "redis.call('get', KEYS[1])",
        "local k = KEYS[1]",
        "k = 'x'",
        "redis.call('get', k)",
        "\0",
        "\u{ff}",
        "elseif",
        "break",
    ];

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_harm(source in proptest::collection::vec(any::<u8>(), 0..400)) {
            is_proven(&source);
        }

        #[test]
        fn any_words_are_looked_at_without_harm(words in proptest::collection::vec(0..PIECES.len(), 0..60)) {
            let source = words.iter().map(|word| PIECES[*word]).collect::<Vec<_>>().join(" ");
            is_proven(source.as_bytes());
            is_proven(source.replace(' ', "").as_bytes());
        }

        /// What is cut off, or put together from two, is looked at as well.
        #[test]
        fn parts_of_scripts_are_looked_at_without_harm(
            (one, other) in (0..PROVEN.len(), 0..UNPROVEN.len()), from in 0usize..400, to in 0usize..400,
        ) {
            let (one, other) = (PROVEN[one].as_bytes(), UNPROVEN[other].as_bytes());
            is_proven(&[&one[..from.min(one.len())], &other[to.min(other.len())..]].concat());
        }
    }
}
