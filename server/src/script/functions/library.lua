-- Runs the code of libraries of functions, at FUNCTION LOAD and again in the interpreter of each core that calls one.
--
-- Gets: the globals of Lua; setfenv; the constants of `server`, by name; then, where no function is ever called,
-- write(level, text), which logs; elsewhere nil, what functions find as globals when they are called, and
-- guarded(function, condition), which makes a function that may only be called under this condition.
-- Returns a function of a source that returns what was registered as a list, or nil and why not.

local lua, setfenv, constants, write, globals, guarded = ...

local error, loadstring, next, pcall, select, setmetatable, tonumber, tostring, type =
  lua.error, lua.loadstring, lua.next, lua.pcall, lua.select, lua.setmetatable, lua.tonumber, lua.tostring, lua.type
local lower, concat = lua.string.lower, lua.table.concat

local FLAGS = {
  ['no-writes'] = true, ['allow-oom'] = true, ['allow-stale'] = true, ['no-cluster'] = true,
  ['allow-cross-slot-keys'] = true,
}

-- What the library at hand has registered; nil while none is being loaded.
local registered

local function refuse(text)
  error({ err = 'ERR ' .. text }, 0)
end

-- Numbers are good for strings everywhere.
local function text_of(value, refusal)
  if type(value) == 'number' then return value .. '' end
  if type(value) ~= 'string' then refuse(refusal) end
  return value
end

local function flags_of(value)
  if type(value) ~= 'table' then
    refuse('flags argument to server.register_function must be a table representing function flags')
  end
  local flags = {}
  for index = 1, #value do
    local flag = value[index]
    if flag == nil then break end
    flag = lower(text_of(flag, 'unknown flag given'))
    if not FLAGS[flag] then refuse('unknown flag given') end
    flags[index] = flag
  end
  return flags
end

local function named(arguments)
  if type(arguments) ~= 'table' then
    refuse('calling server.register_function with a single argument is only applicable to Lua table '
      .. '(representing named arguments).')
  end
  local found = { flags = {} }
  for key, value in next, arguments do
    key = lower(text_of(key, 'named argument key given to server.register_function is not a string'))
    if key == 'function_name' then
      found.name = text_of(value, 'function_name argument given to server.register_function must be a string')
    elseif key == 'description' then
      found.description = text_of(value, 'description argument given to server.register_function must be a string')
    elseif key == 'callback' then
      if type(value) ~= 'function' then
        refuse('callback argument given to server.register_function must be a function')
      end
      found.callback = value
    elseif key == 'flags' then
      found.flags = flags_of(value)
    else
      refuse('unknown argument given to server.register_function')
    end
  end
  if not found.name then refuse('server.register_function must get a function name argument') end
  if not found.callback then refuse('server.register_function must get a callback argument') end
  return found
end

local function register_function(...)
  local count = select('#', ...)
  local found
  if count == 1 then
    found = named((...))
  elseif count == 2 then
    local name, callback = ...
    name = text_of(name, 'first argument to server.register_function must be a string')
    if type(callback) ~= 'function' then
      refuse('second argument to server.register_function must be a function')
    end
    found = { name = name, callback = callback, flags = {} }
  else
    refuse('wrong number of arguments to server.register_function')
  end
  registered[#registered + 1] = found
end

local function log(...)
  local count = select('#', ...)
  if count < 2 then refuse('server.log() requires two arguments or more.') end
  local level = tonumber((...))
  if not level then refuse('First argument must be a number (log level).') end
  if level < 0 or level > 3 then refuse('Invalid log level.') end
  local words = {}
  for index = 2, count do
    local word = select(index, ...)
    if type(word) == 'string' or type(word) == 'number' then words[#words + 1] = word end
  end
  write(level, concat(words, ' '))
end

if globals then
  register_function = guarded(register_function, function() return registered ~= nil end)
  log = globals.server.log
end

local function change()
  error('Attempt to modify a readonly table', 2)
end

-- A table that can be read and not changed; what is not in it is an error where it is asked for.
local function protected(fields)
  local function look_up(_, name)
    local value = fields[name]
    if value == nil then
      error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
    end
    return value
  end
  local metatable = { __index = look_up, __newindex = change, __metatable = false }
  return setmetatable({}, metatable), metatable
end

-- Each library has tables of its own, so that none can put something into those of others.
local function environment()
  local fields = { register_function = register_function, log = log }
  for name, value in next, constants do fields[name] = value end
  local server = protected(fields)
  return protected({ server = server, redis = server })
end

return function(source)
  local chunk, failure = loadstring(source, '@user_function')
  if not chunk then return nil, 'Error compiling function: ' .. failure end
  local globals_of_library, metatable = environment()
  setfenv(chunk, globals_of_library)
  local list, done = {}, nil
  registered = list
  done, failure = pcall(chunk)
  registered = nil
  metatable.__index = globals
  if done then return list end
  if type(failure) == 'table' then failure = failure.err
  elseif type(failure) == 'string' then failure = 'ERR ' .. failure
  else failure = 'ERR unknown error' end
  return nil, 'Error registering functions: ' .. failure
end
