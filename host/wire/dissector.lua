-- SPDX-FileCopyrightText: 2026 midwire contributors
-- SPDX-License-Identifier: Apache-2.0
--
-- What the dissector does. What it knows of the header are the tables FORMAT, VALUES and FIELDS,
-- which `midwire dissector` writes in front of this (host/wire/lua_dissector.py); rules W1 and W2
-- are those of hw/formats/wire.py.
--
-- For Wireshark 3.6 and newer. Its Lua is 5.1 to 5.4, so there is no operator here that one of them
-- lacks: bits are taken out by TvbRange:bitfield, and the library `bit` is in every Wireshark.
-- Numbers become text by %.0f, because they may be floats in Lua 5.4, and %d takes 32 bits only,
-- signed, in Lua 5.2 on Windows. Nothing is read but what was captured: a range that goes further
-- is a Lua error.

local midwire = Proto("midwire", "midwire tensor datagram")

local function field_of(kind, name, title, shown, values, mask, meaning)
  local abbreviation = "midwire." .. name
  if kind == "bytes" then
    return ProtoField.bytes(abbreviation, title, shown, meaning)
  end
  return ProtoField[kind](abbreviation, title, shown, values, mask, meaning)
end

local protofields = {}
for _, field in ipairs(FIELDS) do
  protofields[field.name] = field_of(
    field.kind, field.name, field.title, field.shown, VALUES[field.name], field.mask, field.meaning)
end
protofields.crc_status = field_of(
  "uint8", "crc.status", "CRC status", base.DEC, { [0] = "bad", [1] = "good" }, nil,
  "whether the CRC-32C is that of the header")
protofields.payload = field_of(
  "bytes", "payload", "Payload", base.NONE, nil, nil,
  "bytes of a tensor, reply or error; a bit for each fragment that is asked for")
protofields.tag = field_of(
  "bytes", "tag", "Authentication tag", base.NONE, nil, nil, "tag behind an encrypted fragment")
midwire.fields = protofields

local function expert_of(name, text, group, severity)
  return ProtoExpert.new("midwire.expert." .. name, text, group, severity)
end

local experts = {
  crc = expert_of("crc", "The header was damaged", expert.group.CHECKSUM, expert.severity.ERROR),
  short = expert_of(
    "short", "Shorter than a header", expert.group.MALFORMED, expert.severity.ERROR),
  cut = expert_of(
    "cut", "The recording ends inside the header", expert.group.UNDECODED, expert.severity.NOTE),
  version = expert_of(
    "version", "Another version", expert.group.UNDECODED, expert.severity.WARN),
  value = expert_of(
    "value", "A value that is not this version's", expert.group.PROTOCOL, expert.severity.WARN),
  length = expert_of(
    "length", "Lengths contradict each other (W2)", expert.group.MALFORMED, expert.severity.ERROR),
  missing = expert_of(
    "missing", "Asks for fragments that there are not (W8)", expert.group.MALFORMED,
    expert.severity.ERROR),
  declined = expert_of(
    "declined", "A hop did not execute", expert.group.RESPONSE_CODE, expert.severity.NOTE),
}
midwire.experts = experts

-- CRC-32C, reflected, a byte at a time. `bit` gives signed numbers.

local crc_of_byte = {}
for byte = 0, 255 do
  local crc = byte
  for _ = 1, 8 do
    local odd = bit.band(crc, 1) == 1
    crc = bit.rshift(crc, 1)
    if odd then crc = bit.bxor(crc, 0x82f63b78) end
  end
  crc_of_byte[byte] = crc
end

-- Of the header with its CRC field zero; the whole header must have been captured.
local function crc_of(tvb)
  local head = tvb:raw(0, FORMAT.crc_at) .. string.rep("\0", FORMAT.header_bytes - FORMAT.crc_at)
  local crc = 0xffffffff
  for at = 1, #head do
    local index = bit.band(bit.bxor(crc, string.byte(head, at)), 0xff)
    crc = bit.bxor(bit.rshift(crc, 8), crc_of_byte[index])
  end
  return bit.bnot(crc) % 4294967296
end

-- The header's values by name, as far as they were captured: numbers, and hexadecimal text where a
-- number of Lua 5.1 could not hold them.
local function read(tvb)
  local header = {}
  for _, field in ipairs(FIELDS) do
    if field.bits and field.first + field.size <= tvb:len() then
      local range = tvb:range(field.first, field.size)
      if field.bits <= 32 then
        header[field.name] = range:bitfield(field.bit, field.bits)
      else
        header[field.name] = string.format(
          "0x%08x%08x", range:bitfield(0, 32), range:bitfield(32, 32))
      end
    end
  end
  return header
end

-- Name of a value, or its number.
local function named(name, value)
  return VALUES[name][value] or string.format("%.0f", value)
end

-- Rule W2 in the words of hw/formats/fragments.py, whose check this is.
local function contradictions(header, payload_bytes)
  local index, count = header.fragment_index, header.fragment_count
  local from, total = header.offset, header.total_bytes
  local to, last = from + payload_bytes, header.last == 1
  local problems = {}
  local function problem(...) problems[#problems + 1] = string.format(...) end
  if payload_bytes < 1 then problem("the fragment is empty") end
  if index >= count then problem("fragment %.0f of %.0f", index, count) end
  if last ~= (index + 1 == count) then
    problem("flag last is %.0f on fragment %.0f of %.0f", header.last, index, count)
  end
  if (index == 0) ~= (from == 0) then problem("fragment %.0f at byte %.0f", index, from) end
  if to > total or last ~= (to == total) then
    problem("bytes %.0f to %.0f of %.0f", from, to, total)
  end
  if not last and payload_bytes % FORMAT.fragment_step ~= 0 then
    problem("%.0f bytes, not a multiple of %.0f", payload_bytes, FORMAT.fragment_step)
  end
  return problems
end

-- Rule W8 in the words of host/wire/missing.py: what is wrong with a message that asks for
-- fragments, and for which it asks, where all of its bitmap was captured.
local function asked_for(tvb, header)
  local first, count = header.fragment_index, header.fragment_count
  local group, bytes = FORMAT.missing_group, FORMAT.missing_group / 8
  local behind = tvb:reported_len() - FORMAT.header_bytes
  local problems, wanted = {}, {}
  local function problem(...) problems[#problems + 1] = string.format(...) end
  if first % group ~= 0 or header.offset ~= 0 or header.last ~= 1 then
    problem("fragment_index %.0f, offset %.0f, last %.0f; not a multiple of %.0f, 0, 1",
      first, header.offset, header.last, group)
  end
  if behind ~= bytes then
    problem("a bitmap of %.0f bytes, not %.0f", behind, bytes)
  end
  if behind ~= bytes or tvb:len() < FORMAT.header_bytes + bytes then return problems end
  local bitmap, highest = tvb:range(FORMAT.header_bytes, bytes), 0
  for k = 0, group - 1 do
    if bitmap:bitfield(k, 1) == 1 then
      highest = first + k
      wanted[#wanted + 1] = string.format("%.0f", highest)
    end
  end
  if #wanted == 0 then
    problem("no fragment is asked for")
  elseif highest >= count then
    problem("fragment %.0f of %.0f", highest, count)
  end
  return problems, wanted
end

-- The line in the packet list, of a header that was captured whole.
local function summary(header)
  local words = {
    string.upper(named("message_type", header.message_type)),
    string.format("%.0f/%.0f", header.fragment_index, header.fragment_count),
  }
  local function word(...) words[#words + 1] = string.format(...) end
  if header.source_count ~= 1 then
    word("of tensor %.0f/%.0f", header.tensor_index, header.source_count)
  end
  word("cursor %.0f/%.0f", header.cursor, header.slice_count)
  word("request %s", header.request_id)
  if header.result == 1 then word("result") end
  if header.declined == 1 then word("declined %s", named("reason", header.reason)) end
  if header.resend == 1 then word("resend") end
  if header.congestion == 1 then word("congestion") end
  if header.encrypted == 1 then word("encrypted") end
  if header.telemetry == 1 then word("%.0f cycles", header.cycles) end
  return table.concat(words, " ")
end

-- The header's fields in the tree, as far as they were captured; gives their items by name.
local function show_fields(tvb, top, same_version)
  local items = {}
  for _, field in ipairs(FIELDS) do
    local captured = field.first + field.size <= tvb:len()
    if captured and (same_version or field.of_any_version) then
      local above = field.within and items[field.within] or top
      items[field.name] = above:add(
        protofields[field.name], tvb:range(field.first, field.size))
    end
  end
  return items
end

-- Whether the header is sound; says so behind its CRC.
local function show_crc(tvb, header, item)
  local crc = crc_of(tvb)
  local good = crc == header.crc
  local range = tvb:range(FORMAT.crc_at, FORMAT.header_bytes - FORMAT.crc_at)
  item:add(protofields.crc_status, range, good and 1 or 0):set_generated()
  if good then
    item:append_text(" [good]")
  else
    local text = string.format("The header was damaged: its CRC-32C is 0x%08x", crc)
    item:append_text(string.format(" [bad, should be 0x%08x]", crc))
    item:add_proto_expert_info(experts.crc, text)
  end
  return good
end

-- Which fragments are asked for, and what is wrong with that. Gives whether nothing is.
local function show_missing(tvb, top, header)
  local problems, wanted = asked_for(tvb, header)
  local captured = tvb:len() - FORMAT.header_bytes
  if captured > 0 then
    local item = top:add(protofields.payload, tvb:range(FORMAT.header_bytes, captured))
    if wanted then item:set_text("Fragments asked for: " .. table.concat(wanted, ", ")) end
  end
  for _, text in ipairs(problems) do
    top:add_proto_expert_info(experts.missing, "W8: " .. text)
  end
  return #problems == 0
end

-- What lies behind the header, where it was captured, and what is wrong with how long it is. Gives
-- whether nothing is.
local function show_payload(tvb, top, header)
  local tag_bytes = header.encrypted == 1 and FORMAT.tag_bytes or 0
  local behind = tvb:reported_len() - FORMAT.header_bytes
  if behind < tag_bytes then
    top:add_proto_expert_info(experts.length, string.format(
      "%.0f bytes behind the header, less than a tag of %.0f", behind, tag_bytes))
    return false
  end
  local payload_bytes = behind - tag_bytes
  local captured = math.min(tvb:len() - FORMAT.header_bytes, payload_bytes)
  if captured > 0 then
    local item = top:add(protofields.payload, tvb:range(FORMAT.header_bytes, captured))
    item:set_text(string.format(
      "Bytes %.0f to %.0f of %.0f of the %s", header.offset, header.offset + payload_bytes,
      header.total_bytes, named("message_type", header.message_type)))
    if captured < payload_bytes then
      item:append_text(string.format(" [%.0f of them recorded]", captured))
    end
  end
  if tag_bytes > 0 and tvb:len() == tvb:reported_len() then
    top:add(protofields.tag, tvb:range(FORMAT.header_bytes + payload_bytes, tag_bytes))
  end
  local problems = contradictions(header, payload_bytes)
  for _, text in ipairs(problems) do
    top:add_proto_expert_info(experts.length, "W2: " .. text)
  end
  return #problems == 0
end

-- What a sound header says that somebody should see. Gives whether this version knows its values.
local function show_remarks(header, items)
  local known = true
  for _, field in ipairs(FIELDS) do
    local name = field.name
    if VALUES[name] and not VALUES[name][header[name]] then
      items[name]:add_proto_expert_info(experts.value, string.format(
        "%s %.0f is not one of this version's", name, header[name]))
      known = false
    end
  end
  if header.declined == 1 then
    items.declined:add_proto_expert_info(
      experts.declined, "Declined: " .. named("reason", header.reason))
  end
  return known
end

-- A datagram that ends inside the header, or that was recorded only so far.
local function show_start(tvb, pinfo, top)
  local whole = tvb:reported_len()
  local function of_header(bytes)
    return string.format("%.0f of a header's %.0f bytes", bytes, FORMAT.header_bytes)
  end
  if whole < FORMAT.header_bytes then
    top:add_proto_expert_info(experts.short, "Shorter than a header: " .. of_header(whole))
    pinfo.cols.info = "[too short] " .. of_header(whole)
  else
    top:add_proto_expert_info(
      experts.cut, "The recording ends inside the header: " .. of_header(tvb:len()))
    pinfo.cols.info = "[cut off] " .. of_header(tvb:len())
  end
end

-- Gives how many bytes are ours: all, or none where the datagram is not midwire's.
local function dissect(tvb, pinfo, tree)
  local header = read(tvb)
  if header.magic ~= FORMAT.magic then return 0 end
  pinfo.cols.protocol = "midwire"
  local top = tree:add(midwire, tvb:range(0, tvb:len()))
  local same_version = header.version == nil or header.version == FORMAT.version
  local items = show_fields(tvb, top, same_version)
  if not same_version then
    local text = string.format(
      "version %.0f; this dissector knows version %.0f", header.version, FORMAT.version)
    items.version:add_proto_expert_info(experts.version, text)
    pinfo.cols.info = text
  elseif tvb:len() < FORMAT.header_bytes then
    show_start(tvb, pinfo, top)
  elseif show_crc(tvb, header, items.crc) then
    local known = show_remarks(header, items)
    local asks = header.message_type == FORMAT.missing
    local fits = (asks and show_missing or show_payload)(tvb, top, header)
    local trouble = not known and "[bad field] " or not fits and "[bad length] " or ""
    pinfo.cols.info = trouble .. summary(header)
  else
    pinfo.cols.info = "[bad CRC] " .. summary(header)
  end
  return tvb:len()
end

function midwire.dissector(tvb, pinfo, tree)
  return dissect(tvb, pinfo, tree)
end

-- On any port: what has a sound header is ours, and so is what follows between the same two
-- sockets, damaged or not.
local function recognise(tvb, pinfo, tree)
  if tvb:len() < FORMAT.header_bytes then return false end
  local header = read(tvb)
  local sound = header.magic == FORMAT.magic and header.version == FORMAT.version
  if not sound or header.crc ~= crc_of(tvb) then return false end
  pinfo.conversation = midwire
  dissect(tvb, pinfo, tree)
  return true
end

DissectorTable.get("udp.port"):add(FORMAT.udp_port, midwire)
midwire:register_heuristic("udp", recognise)
