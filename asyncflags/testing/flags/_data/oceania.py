"""The flags of Oceania and the Southern Ocean, in the notation of ``asyncflags.testing.flags.notation``."""

from __future__ import annotations

TABLE = """
AU | Australia | 26_700_000 | field #00008b; union-jack #00008b white #ff0000 0 0 75 50;
    star white 37.5 75 15 points=7 inner=0.444;
    star white 112.5,83.3 93.75,43.75 112.5,16.7 129.2,38 7.2 points=7 inner=0.444; star white 120 54.2 4.2
PG | Papua New Guinea | 10_600_000 | polygon black 0,0 150,100 0,100; polygon #ce1126 0,0 150,0 150,100;
    star white 38,53 18,70 58,66 7; star white 38,92 7; star white 47,76 4; bird #fcd116 108 36 22 turn=30;
    path #fcd116 2.2 106,40 92,56 98,62; path #fcd116 2.2 102,40 86,46; path #fcd116 2.2 110,42 104,58
NZ | New Zealand | 5_210_000 | field #00247d; union-jack 0 0 75 50; star white 112,20 112,80 8.4;
    star white 95,44 129,38 7.6; star #cc142b 112,20 112,80 6.2; star #cc142b 95,44 129,38 5.4
FJ | Fiji | 929_000 | field #68bfe5; union-jack 0 0 75 50; shield white 112 24 36 50;
    rectangle #d21034 94 24 36 12; lion #fcd116 112 30 5.4; rectangle #d21034 110 36 4 37;
    rectangle #d21034 94.4 50 35.2 4; path #2e8b3d 2.4 99,46 106,40; path #2e8b3d 2.4 118,46 121,39 124,46;
    bird #9fb8c8 103 61 5; path #e0b030 3.4 119,60 124,57
SB | Solomon Islands | 819_000 | polygon #0051ba 0,0 150,0 0,100; polygon #215b33 150,0 150,100 0,100;
    diagonal #fcd116 10 rise=1; star white 14,14 42,14 28,27 14,40 42,40 7
VU | Vanuatu | 328_000 | horizontal #d21034 #009543; rectangle black 0 38 150 24; triangle black 70;
    band black 24 -12,-8 70,50 -12,108 70,50; band #fdce12 9 -12,-8 66,50 -12,108 66,50;
    rectangle #fdce12 60 45.5 90 9; polygon black 0,13 52,50 0,87; crescent #fdce12 20 50 14 21.5 47.5 10.5;
    path #fdce12 1.8 15,55 25,43; path #fdce12 1.8 25,55 15,43
NC | New Caledonia | 293_000 | horizontal #0035ad #ed2939 #009543; disc black 50 50 34; disc #ffde00 50 50 32;
    polygon black 49,20 51,20 52,32 56,38 52,42 57,50 52,56 56,62 53,68 53,80 47,80 47,68 44,62 48,56 43,50
    48,42 44,38 48,32
PF | French Polynesia | 282_000 | horizontal #ce1126*1 white*2 #ce1126*1; disc #f9ab00 75 50 22;
    rays #ffd766 75 48 4 21 rays=24 width=6; waves #083d9c 55 56 40 3 1.4 4; waves #083d9c 58 62 34 3 1.4 3;
    arc #083d9c 75 50 22 5 140 220; polygon #ce1126 62,52 88,52 84,58 66,58; path #ce1126 1.4 75,52 75,36;
    polygon #ce1126 76,36 84,50 76,50; polygon #ce1126 74,38 67,50 74,50
WS | Samoa | 218_000 | field #ce1126; rectangle #002b7f 0 0 75 50; star white 37.5,9 26,22 49,20 5.6;
    star white 37.5,41 6.4; star white 43.5 29 3.6
GU | Guam | 168_000 | field #c62139; rectangle #00297b 3 3 144 94; spear-shield #c62139 75 50 34;
    spear-shield #9bd3ef 75 50 31; polygon #f5e2a0 58,60 92,60 88,70 75,80 62,70;
    rectangle #2f7fc1 58 52 34 9; palm #2e7d32 78 50 17; polygon white 64,54 71,54 67.5,42;
    path #7b4a22 1.8 63,55.5 72,55.5; band #c62139 4 66,64 84,64
KI | Kiribati | 134_500 | field #ce1126; rays #fcd116 75 56 0 33 rays=34 width=6; disc #fcd116 75 56 19;
    bird #fcd116 75 15 24; waves #003f87 0 56 150 46 3 6; waves white 0 64 150 6 3 6;
    waves white 0 77 150 6 3 6; waves white 0 90 150 6 3 6
FM | Micronesia | 113_000 | field #75b2dd; star white 75,22 75,78 40,50 110,50 12
TO | Tonga | 104_000 | field #c10000; rectangle white 0 0 62 50; plus #c10000 31 25 17 11
AS | American Samoa | 46_800 | field #002b7f; polygon #bd1021 0,50 150,-4 150,104;
    polygon white 14,50 150,5 150,95; bird #7a4a22 118 48 26 turn=-8; disc white 117 43 3;
    path #f2c230 2 100,62 116,68; path #7a4a22 3 98,56 106,66
MP | Northern Mariana Islands | 44_300 | field #0071bc; wreath #3e8f44 75 50 33 stop=176;
    ring #d94f70 75 50 30 2.4; ring #f2c230 75 50 35 1.4; polygon #8c8f93 66,72 69,46 81,46 84,72;
    arc #8c8f93 75 46 12 12 90 270; polygon #8c8f93 63,44 87,44 84,51 66,51; star white 75 50 22
MH | Marshall Islands | 37_500 | field #003893; polygon #dd7500 0,98 150,8 150,30;
    polygon white 0,99 150,28 150,50; star white 34 28 22 points=24 inner=0.5;
    star white 34 28 26 points=4 inner=0.22
PW | Palau | 17_700 | field #4aadd6; disc #ffde00 67 50 30
CK | Cook Islands | 13_700 | field #00247d; union-jack 0 0 75 50; star-ring white 112 50 30 4.6 15
NR | Nauru | 11_900 | field #002b7f; rectangle #ffc61e 0 46 150 8; star white 38 73 14 points=12 inner=0.55
WF | Wallis and Futuna | 11_300 | field #ce1126; vertical #002395 white #ce1126 0 0 54 36;
    rectangle white 54 0 1.6 37.6; rectangle white 0 36 55.6 1.6; polygon white 96,48 84,36 108,36;
    polygon white 96,52 84,64 108,64; polygon white 94,50 82,38 82,62; polygon white 98,50 110,38 110,62
TV | Tuvalu | 9_600 | field #5b97b1; union-jack 0 0 75 50;
    star #fcd116 72,88 86,76 104,84 98,66 114,70 120,52 136,58 126,38 140,30 5.6
TK | Tokelau | 2_500 | field #00247d; polygon #fed100 40,72 118,72 110,80 56,80;
    polygon #fed100 52,68 128,68 118,12 100,40; polygon #00247d 128,68 118,68 112,24 118,12;
    star white 20,14 8,34 30,30 20,56 5.6
NU | Niue | 1_800 | field #fedd00; union-jack 0 0 75 50; disc #012169 37.5 25 7; star #fedd00 37.5 25 6.4;
    star #fedd00 37.5,8 37.5,42 14,25 61,25 4
NF | Norfolk Island | 2_200 | vertical #1d8f37*7 white*9 #1d8f37*7; cedar #1d8f37 75 50 38
CX | Christmas Island | 1_700 | polygon #1c8a42 0,0 150,0 150,100; polygon #0021ad 0,0 150,100 0,100;
    star white 37.5,88 37.5,50 24,66 50,64 6 points=7 inner=0.444; star white 43 74 3.6;
    bird #ffc639 108 26 19 turn=-20; disc #ffc639 75 50 14; island #1c8a42 75 51 11
CC | Cocos Islands | 600 | field #008000; disc #ffe000 30 25 14; palm #8a5a2b 30 26 12; palm #008000 30 24 9;
    crescent #ffe000 75 50 15 80 50 13; star #ffe000 112,84 96,46 112,18 127,38 6.4 points=7 inner=0.444;
    star #ffe000 120 54 4
PN | Pitcairn Islands | 50 | field #00247d; union-jack 0 0 75 50; shield #fcd116 112 34 33 42;
    shield #1d6fb8 112 35.5 30 39; polygon #2e8b3d 97.5,61 112,40 126.5,61 124,67 112,74 100,67;
    anchor #fcd116 112 60 9; rectangle #9aa0a6 108 29 8 5; path #2e8b3d 3 95,34 103,27;
    path #2e8b3d 3 129,34 121,27
UM | U.S. Outlying Islands | 150 | horizontal #bf0a30 white #bf0a30 white #bf0a30 white #bf0a30 white #bf0a30
    white #bf0a30 white #bf0a30; rectangle #002868 0 0 62 53.85; star-rows white 0 0 62 53.85 9 6 2.9
AQ | Antarctica | 1_000 | field #3a7dce;
    polygon white 44,34 50,30 58,36 68,24 86,22 102,30 108,44 106,58 98,64 96,72 84,78 74,70 64,70 56,60 48,58
    54,50 46,44; polygon #3a7dce 76,70 80,60 84,66; polygon #3a7dce 56,42 64,48 57,52
BV | Bouvet Island | 0 | field #c8102e; cross white 54.5 50 25; cross #003087 54.5 50 12.5
GS | South Georgia and the South Sandwich Islands | 30 | field #00247d; union-jack 0 0 75 50;
    shield white 112 28 34 42; polygon #1d8f4a 95,28 129,28 129,46 112,56 95,46; lion #fcd116 112 39 7;
    checker #1f6fc0 white 100 54 24 9 4 2; star #fcd116 101,33 123,33 2.6; sheep #8a5a2b 112 22 6;
    path #c9a227 2.6 97,74 112,77 127,74
HM | Heard Island and McDonald Islands | 0 | field #012169; union-jack 0 0 75 50;
    star white 37.5 75 15 points=7 inner=0.444;
    star white 112.5,83.3 93.75,43.75 112.5,16.7 129.2,38 7.2 points=7 inner=0.444; star white 120 54.2 4.2
IO | British Indian Ocean Territory | 3_000 | field white; waves #00247d 0 2 150 7 3 4;
    waves #00247d 0 18 150 7 3 4; waves #00247d 0 34 150 7 3 4; waves #00247d 0 50 150 7 3 4;
    waves #00247d 0 66 150 7 3 4; waves #00247d 0 82 150 7 3 4; waves #00247d 0 97 150 7 3 4;
    union-jack 0 0 75 50; palm #7a4a22 112 50 30; palm #2e8b3d 112 42 21; crown #fcd116 112 56 12
TF | French Southern Territories | 150 | field #002395; vertical #002395 white #ed2939 0 0 60 40;
    rectangle white 60 0 1.5 41.5; rectangle white 0 40 61.5 1.5; rectangle white 90 46 36 5;
    rectangle white 105.5 46 5 30; path white 4 108,62 95,76; path white 4 108,62 121,76;
    rectangle white 96 62 24 4; star white 108,86 90,32 108,26 126,32 86,82 5
"""
