"""The flags of Africa, in the notation of ``asyncflags.testing.flags.notation``."""

from __future__ import annotations

TABLE = """
DZ | Algeria | 46_800_000 | vertical #006233 white; crescent #d21034 75 50 25 80.5 50 20;
    star #d21034 86 50 11.5 turn=-90
AO | Angola | 37_900_000 | horizontal #cc092f black; arc #ffcb00 73 50 22 5 0 185;
    rays #ffcb00 73 50 19 25 rays=2 turn=20 width=8; star #ffcb00 72 43 9; path #ffcb00 4 58,66 72,60 90,73
BJ | Benin | 14_500_000 | horizontal #fcd116 #e8112d; rectangle #008751 0 0 60 100
BW | Botswana | 2_500_000 | horizontal #75aadb*9 white*1 black*4 white*1 #75aadb*9
BF | Burkina Faso | 23_500_000 | horizontal #ef2b2d #009e49; star #fcd116 75 50 18
BI | Burundi | 14_000_000 | field #ce1126; polygon #1eb53a 0,0 75,50 0,100;
    polygon #1eb53a 150,0 75,50 150,100; saltire white 17; disc white 75 50 27;
    star #1eb53a 75,37 64,57 86,57 8 points=6 inner=0.577;
    star #ce1126 75,37 64,57 86,57 6 points=6 inner=0.577
CV | Cabo Verde | 525_000 | horizontal #003893*6 white*1 #cf2027*1 white*1 #003893*3;
    star-ring #f7d116 56 62.5 21 5 10
CM | Cameroon | 29_100_000 | vertical #007a5e #ce1126 #fcd116; star #fcd116 75 50 15
CF | Central African Republic | 5_330_000 | horizontal #003082 white #289728 #ffce00;
    rectangle #d21034 62 0 26 100; star #ffce00 22 12.5 10
TD | Chad | 20_300_000 | vertical #002664 #fecb00 #c60c30
KM | Comoros | 867_000 | horizontal #ffd100 white #ef3340 #003da5; triangle #009639 75;
    crescent white 25 50 21 34 50 21; star white 32,34.5 32,45 32,55.5 32,66 5
CG | Congo | 6_330_000 | field #009543; polygon #dc241f 0,100 150,0 150,100; diagonal #fbde4a 55 rise=1
CD | DR Congo | 109_300_000 | field #007fff; diagonal #f7d618 40 rise=1; diagonal #ce1021 28 rise=1;
    star #f7d618 28 26 19
CI | Côte d'Ivoire | 31_900_000 | vertical #f77f00 white #009e60
DJ | Djibouti | 1_170_000 | horizontal #6ab2e7 #12ad2b; triangle white 86.6; star #d7141a 29 50 14
EG | Egypt | 116_500_000 | horizontal #ce1126 white black; eagle #c09300 75 50 15; shield white 75 44 8.5 11;
    rectangle #ce1126 70.75 44 2.8 8; rectangle black 76.45 44 2.8 8; rectangle #c09300 68 63.5 14 2.6
GQ | Equatorial Guinea | 1_890_000 | horizontal #3e9a00 white #e32118; triangle #0073ce 38;
    shield grey 75 42 17 19; shield silver 75 43 15 16.5; tree #3e9a00 75 50 5;
    star #d9a900 62,39 67,37.5 72,36.5 78,36.5 83,37.5 88,39 1.8 points=6 inner=0.577;
    path grey 1.5 66,63 75,64.5 84,63
ER | Eritrea | 3_540_000 | horizontal #43b02a #418fde; triangle #e4002b 150; wreath #ffc72c 45 50 20 stop=165;
    path #ffc72c 1.8 45,70 45,38; path #ffc72c 1.6 45,56 51,49; path #ffc72c 1.6 45,56 39,49;
    path #ffc72c 1.6 45,48 50,42; path #ffc72c 1.6 45,48 40,42
SZ | Eswatini | 1_240_000 | horizontal #3e5eb9*3 #ffd900*1 #b10c0c*8 #ffd900*1 #3e5eb9*3;
    path #ffd900 1.6 28,39 122,39; path #ffd900 1.6 28,61 122,61; polygon #c8d0e0 118,39 128,36.5 128,41.5;
    polygon #c8d0e0 118,61 128,58.5 128,63.5; spear-shield black 75 50 36 turn=90;
    polygon white 75,34 92,37 92,63 75,66; spear-shield white 95 50 10 turn=90; band black 2 80,44 88,44;
    band white 2 58,50 70,50; band black 2 80,56 88,56
ET | Ethiopia | 132_100_000 | horizontal #078930 #fcdd09 #da121a; disc #0f47af 75 50 29;
    pentagram #fcdd09 #0f47af 75 51 21 2.4; rays #fcdd09 75 51 12 22 rays=5 turn=36 width=7
GA | Gabon | 2_540_000 | horizontal #009e60 #fcd116 #3a75c4
GM | Gambia | 2_760_000 | horizontal #ce1126*6 white*1 #0c1c8c*4 white*1 #3a7728*6
GH | Ghana | 34_400_000 | horizontal #ce1126 #fcd116 #006b3f; star black 75 50 17
GN | Guinea | 14_800_000 | vertical #ce1126 #fcd116 #009460
GW | Guinea-Bissau | 2_200_000 | horizontal #fcd116 #009e49; rectangle #ce1126 0 0 50 100; star black 25 50 17
KE | Kenya | 56_400_000 | horizontal black*6 white*1 #bb0000*6 white*1 #006600*6;
    band white 1.8 55,20 95,80 95,20 55,80; spear-shield white 55 20 5 turn=-34;
    spear-shield white 95 20 5 turn=34; spear-shield #bb0000 75 50 29;
    polygon black 63,31 68,50 63,69 57.7,50; polygon black 87,31 82,50 87,69 92.3,50;
    spear-shield white 75 50 9; band white 1.6 75,27 75,37 75,63 75,73
LS | Lesotho | 2_340_000 | horizontal #00209f*3 white*4 #009543*3;
    polygon black 73.5,34 76.5,34 77.5,41 88,60 93,64 75,67 57,64 62,60 72.5,41; path white 1 68,54 82,54
LR | Liberia | 5_610_000 | horizontal #bf0a30 white #bf0a30 white #bf0a30 white #bf0a30 white #bf0a30 white
    #bf0a30; rectangle #002868 0 0 45.45 45.45; star white 22.7 23.5 16
LY | Libya | 7_380_000 | horizontal #e70013*1 black*2 #239e46*1; crescent white 72 50 13 75.5 50 10.8;
    star white 85 50 6.5 turn=-90
MG | Madagascar | 32_000_000 | horizontal #fc3d32 #007e3a; rectangle white 0 0 50 100
MW | Malawi | 21_700_000 | field black; disc #ce1126 75 32 11; rays #ce1126 75 32 13 25 rays=32 width=5;
    horizontal #ce1126 #339e35 0 33.33 150 66.67
ML | Mali | 24_500_000 | vertical #14b53a #fcd116 #ce1126
MR | Mauritania | 5_170_000 | horizontal #d01c1f*1 #00a95c*4 #d01c1f*1; crescent #ffd700 75 46 26 75 36 27;
    star #ffd700 75 40 10
MU | Mauritius | 1_270_000 | horizontal #ea2839 #1a206d #ffd500 #00a551
YT | Mayotte | 326_000 | field white; shield #002b7f 75 18 44 62; shield white 75 20 40 57;
    rectangle #0a4ea2 55 20 40 22; crescent white 75 30 8 75 27 8;
    polygon #d21034 55,42 95,42 94,54 75,77 56,54; star #ffd700 67,51 83,51 4;
    path grey 3 47,30 42,42 47,54 43,66; path grey 3 103,30 108,42 103,54 107,66
MA | Morocco | 38_100_000 | field #c1272d; pentagram #006233 #c1272d 75 52 22 3.6
MZ | Mozambique | 34_600_000 | horizontal #007168*8 white*1 black*8 white*1 #fce100*8; triangle #d21034 62;
    star #fce100 22 50 18; polygon white 12,53 22,56 32,53 32,60 22,63 12,60;
    band black 2.6 10,63 33,40 12,44 34,61; path black 2.6 34,61 31,66
NA | Namibia | 3_030_000 | field #003580; polygon #009543 0,100 150,0 150,100; diagonal white 42 rise=1;
    diagonal #d21034 30 rise=1; star #ffce00 30 29 20 points=12 inner=0.62; disc #003580 30 29 11.5;
    disc #ffce00 30 29 10
NE | Niger | 27_000_000 | horizontal #e05206 white #0db02b; disc #e05206 75 50 13.5
NG | Nigeria | 232_700_000 | vertical #008751 white #008751
RE | Réunion | 878_000 | field #003f9e; polygon #ffcb00 75,45 -8,42 -8,18; polygon #ffcb00 75,45 8,-12 40,-12;
    polygon #ffcb00 75,45 63,-10 87,-10; polygon #ffcb00 75,45 142,-12 110,-12;
    polygon #ffcb00 75,45 158,42 158,18; polygon #e4002b 0,100 75,40 150,100
RW | Rwanda | 14_300_000 | horizontal #00a1de*2 #fad201*1 #20603d*1;
    star #fad201 122 24 16 points=24 inner=0.6; ring #00a1de 122 24 9 1.4
SH | Saint Helena | 5_200 | field #00247d; union-jack 0 0 75 50; shield white 112 26 36 48;
    shield #4aa3df 112 27.5 33 45; rectangle #f3d03e 95.5 27.5 33 14; bird black 112 34 7;
    ship white 112 54 9; polygon brown 95.5,47 103,56 99,64 96,58
ST | São Tomé and Príncipe | 236_000 | horizontal #12ad2b*2 #ffce00*3 #12ad2b*2; triangle #d21034 40;
    star black 75,50 115,50 13
SN | Senegal | 18_500_000 | vertical #00853f #fdef42 #e31b23; star #00853f 75 50 15
SC | Seychelles | 130_000 | polygon #003d88 0,100 0,0 50,0; polygon #fcd955 0,100 50,0 100,0;
    polygon #d62828 0,100 100,0 150,0 150,33.3; polygon white 0,100 150,33.3 150,66.7;
    polygon #007a39 0,100 150,66.7 150,100
SL | Sierra Leone | 8_640_000 | horizontal #1eb53a white #0072c6
SO | Somalia | 19_000_000 | field #4189dd; star white 75 52 27
ZA | South Africa | 64_000_000 | horizontal #e03c31 #001489; rectangle white 60 33.3 90 33.4;
    band white 33.4 -15,-10 75,50 -15,110 75,50; rectangle #007749 60 40 90 20;
    band #007749 20 -15,-10 75,50 -15,110 75,50; disc #007749 75 50 10; polygon #ffb81c 0,12 57,50 0,88;
    polygon black 0,20 45,50 0,80
SS | South Sudan | 11_900_000 | horizontal black*6 white*1 #da121a*6 white*1 #078930*6; triangle #0f47af 75;
    star #fcdd09 27 50 18 turn=-15
SD | Sudan | 50_400_000 | horizontal #d21034 white black; triangle #007229 50
TZ | Tanzania | 68_600_000 | field #1eb53a; polygon #00a3dd 0,100 150,0 150,100; diagonal #fcd116 42 rise=1;
    diagonal black 29 rise=1
TG | Togo | 9_520_000 | horizontal #006a4e #ffce00 #006a4e #ffce00 #006a4e; rectangle #d21034 0 0 60 60;
    star white 30 31 20
TN | Tunisia | 12_300_000 | field #e70013; disc white 75 50 27; crescent #e70013 74 50 20 79.5 50 16;
    star #e70013 82 50 10.5 turn=-90
UG | Uganda | 50_000_000 | horizontal black #fcdc04 #d90000 black #fcdc04 #d90000; disc white 75 50 17;
    path grey 1 74,56 72,64; path grey 1 76,56 78,64; ellipse #6b6f75 75 53 6.5 4;
    polygon #d90000 69,53 64,60 70,57; path #6b6f75 2.2 79,51 81,43; disc black 81 42 2.2;
    path #fcdc04 1 81,40 79,36; path #fcdc04 1 81,40 82,35.5; path #fcdc04 1 81,40 84.5,37;
    path #d90000 1.2 83,44 83,46
EH | Western Sahara | 590_000 | horizontal black white #007a3d; triangle #c4111b 50;
    crescent #c4111b 90 50 13.5 94 50 11.5; star #c4111b 99 50 7.5 turn=-90
ZM | Zambia | 21_300_000 | field #198a00; vertical #de2010 black #ef7d00 105 40 45 60;
    bird #ef7d00 127.5 22 19
ZW | Zimbabwe | 16_600_000 | horizontal #006400 #ffd200 #d40000 black #d40000 #ffd200 #006400;
    triangle black 72; triangle white 68; star #d40000 22 50 17; path #ffd200 4 25,38 22,46 20,56;
    path #ffd200 3 25,38 29,40; path #ffd200 2.4 20,46 25,52; rectangle #ffd200 14 57 16 3.6;
    path #ffd200 2.4 20,56 17,53
"""
