local function rank(key)
    local kind = type(key)
    if kind == 'number' then return 1 elseif kind == 'string' then return 2 end
    return 3
end
local function show(value, depth)
    local kind = type(value)
    if value == cjson.null then return 'null' end
    if kind == 'number' then return string.format('%.17g', value) end
    if kind == 'string' then
        return '"' .. string.gsub(value, '[%z\1-\31"\\\127-\255]', function(byte)
            return string.format('\\%02x', string.byte(byte))
        end) .. '"'
    end
    if kind == 'function' then return kind end
    if kind ~= 'table' then return tostring(value) end
    if depth > 20 then return '{...}' end
    local keys, out = {}, {}
    for key in pairs(value) do keys[#keys + 1] = key end
    table.sort(keys, function(left, right)
        if rank(left) ~= rank(right) then return rank(left) < rank(right) end
        return rank(left) < 3 and left < right
    end)
    for _, key in ipairs(keys) do
        out[#out + 1] = '[' .. show(key, depth + 1) .. ']=' .. show(value[key], depth + 1)
    end
    return '{' .. table.concat(out, ',') .. '}'
end
local function outcome(works, ...)
    local out = {}
    for at = 1, select('#', ...) do
        local value = select(at, ...)
        if not works and type(value) == 'table' and value.err then value = value.err end
        out[at] = show(value, 0)
    end
    return (works and '' or 'error ') .. table.concat(out, ' ')
end
return outcome(pcall(function()
--SNIPPET
end))
