-- Asks the auth service at /verify whether a request may pass. The result is in txn.auth_status
-- (200, 302, 401, 403, …; 503 if it does not answer), and the user in txn.auth_user_id and so on.

local PASSED_ON = { "authorization", "cookie", "origin", "sec-fetch-site", "accept", "user-agent", "x-request-id" }

local function first(headers, name)
    local values = headers[name]
    return values and (values[0] or values[1])
end

core.register_action("forward_auth", { "http-req" }, function(txn, address)
    local headers = txn.http:req_get_headers()
    local sent = {}
    for _, name in ipairs(PASSED_ON) do
        -- All of them: two Authorization headers are rejected, as they are without a gateway.
        if headers[name] then
            sent[name] = {}
            for index = 0, #headers[name] do
                sent[name][index + 1] = headers[name][index]
            end
        end
    end
    local host = first(headers, "host") or ""
    sent["host"] = { host }
    sent["x-forwarded-host"] = { host }
    sent["x-forwarded-method"] = { txn.sf:method() }
    sent["x-forwarded-proto"] = { txn.sf:ssl_fc() == 1 and "https" or "http" }
    sent["x-forwarded-uri"] = { txn.sf:pathq() }
    sent["x-forwarded-for"] = { txn.sf:src() }
    txn:set_var("txn.auth_status", "503")
    local answer = core.httpclient():get({
        url = "http://" .. address .. "/verify?" .. (txn:get_var("txn.filters") or ""),
        headers = sent,
        timeout = 5000,
    })
    if not answer or not answer.status then
        return
    end
    txn:set_var("txn.auth_status", tostring(answer.status))
    local told = answer.headers or {}
    txn:set_var("txn.auth_user_id", first(told, "x-auth-user-id") or "")
    txn:set_var("txn.auth_session_id", first(told, "x-auth-session-id") or "")
    txn:set_var("txn.auth_role", first(told, "x-auth-role") or "")
    txn:set_var("txn.auth_acr", first(told, "x-auth-acr") or "")
    txn:set_var("txn.auth_challenge", first(told, "www-authenticate") or "Bearer")
    txn:set_var("txn.auth_location", first(told, "location") or "")
end, 1)
