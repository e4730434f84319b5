var d=e=>e.replace(/\*/g,(t,s)=>e[s-1]==="\\"?t:"\\*");function A(e,t=""){let s=t==="."?"":d(t);if(e==="")return t===""||t==="."?[]:[s,`*.${s}`];let E=e.replaceAll("\\*","").includes("*");if(t===""||t===".")return[E?e:`*${e}*`];let r=e.toLowerCase();if(E){let n=r.endsWith(".")?r:`${r}.`;return[n===s||n.endsWith(`.${s}`)?n:`${n}${s}`]}if(s.includes(r))return[s,`*.${s}`];let i=`.${s}`,o=[];for(let n=1;n<Math.min(r.length,i.length);n+=1)r.endsWith(i.slice(0,n))&&o.push(`*${r}${i.slice(n)}`);return r.endsWith(i)&&o.push(`*${r}`),[`*${r}*${i}`,...o]}var l=e=>`'${e.replaceAll("'","''")}'`;function g(e){let t=e.replace(/\\\*|[*%_\\]/g,s=>s==="\\*"?"*":s==="*"?"%":`\\${s}`);return l(t)}function p(e){let{hosts:t,type:s,server:E,resource:r,code:i,exists:o,accessedFrom:n,accessedTo:a}=e,c=[];t.length>0&&c.push(`(${t.map(S=>`host LIKE ${g(S)}`).join(" OR ")})`),s!==""&&c.push(`type = ${l(s)}`),/^\d+$/.test(E)&&c.push(`server_id = ${E}`),/^\d+$/.test(r)&&c.push(`resource_id = ${r}`);let $=i===""?"action = 'request'":`action = 'response' AND rcode = ${l(i)}`,u=["hits > 0"];n!==""&&u.push(`last >= ${l(n)}`),a!==""&&u.push(`last < ${l(a)}`);let h="(nx > 0 AND noerror = 0)",N=o===null?"true":o?`NOT ${h}`:h;return`WITH chosen AS (SELECT record_id,
 sum(CASE WHEN ${$} THEN hits ELSE 0 END) AS hits,
 max(CASE WHEN ${$} THEN last_access END) AS last,
 sum(CASE WHEN rcode = 'NXDOMAIN' THEN hits ELSE 0 END) AS nx,
 sum(CASE WHEN rcode = 'NOERROR' THEN hits ELSE 0 END) AS noerror,
 sum(CASE WHEN action = 'response' THEN hits ELSE 0 END) AS answers
 FROM records${c.length>0?` WHERE ${c.join(" AND ")}`:""} GROUP BY record_id)
SELECT sum(CASE WHEN ${N} THEN 1 ELSE 0 END) AS records, sum(CASE WHEN ${N} THEN hits ELSE 0 END) AS hits,
 sum(nx) AS nxdomain, sum(answers) AS responses
 FROM chosen WHERE ${u.join(" AND ")}`}export{d as a,A as b,p as c};
